"""What a step of one job costs: its time beside backpropagation's, in its phases, its FLOPs, memory and energy."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from grape_bench.cost.energy import EnergyMeter
from grape_bench.cost.flops import StepFlops, step_flops
from grape_bench.cost.pipeline import MICRO_BATCHES, pipelines
from grape_bench.cost.step import holders, time_split
from grape_bench.cost.turns import in_turns, ratio
from grape_bench.data.dataset import DataSet
from grape_bench.job.setup import build_model, make_trainer
from grape_bench.network.trace import logits_of
from grape_bench.record.job import Job
from grape_bench.train.loop import Trainer

ROUNDS, BUDGET_S = 40, 4.0
GPU_STEPS = 8
Batch = tuple[Tensor, Tensor]


def profile(job: Job, data: DataSet) -> dict[str, Any]:
    """The median over rounds of the rule's step time ÷ BP's as `step_ratio`, with the quartiles as `low` and `high`.

    A round times the same batches under BP and under the rule. It covers whole periods of the rule, so that what a
    rule does only at some steps is counted in full. Then for the rule alone: `split`, seconds of a step by phase;
    `holders`, bytes by what holds them; `flops`, also BP's; `speedup`, of a step over BP's if independent blocks ran
    side by side and time were FLOPs; `pipeline`, the same on so many devices in a row; `energy`, joules of a step and
    of BP's.
    """
    device = next(iter(data.validation.batches(1)))[0].device

    def fresh(rule: str, settings: dict[str, Any]) -> Trainer:
        trainer = make_trainer(job, build_model(job, data, device), data, rule, settings)
        trainer.network.begin_epoch(data.train.batch_count(job.batch_size))
        return trainer

    bp = fresh("bp", {})
    own = fresh(job.rule, job.rule_settings) if job.rule != "bp" else bp
    steps = steps_per_round(own.network.rule.period, device)
    batches = endless(data, job.batch_size)
    chosen = [next(batches) for _ in range(steps)]
    trainers = {"bp": bp, job.rule: own}
    work = {name: partial(_steps, trainer, chosen) for name, trainer in trainers.items()}
    seconds = in_turns(work, device, ROUNDS, BUDGET_S)
    measured = ratio(seconds[job.rule], seconds["bp"])
    reference, counted = _flops(bp, chosen[0]), _flops(own, chosen[0])
    return {
        "step_ratio": measured.median,
        "low": measured.low,
        "high": measured.high,
        "bp_step_s": statistics.median(seconds["bp"]) / steps,
        "rounds": len(seconds["bp"]),
        "split": asdict(time_split(own, batches, device)),
        "holders": asdict(holders(own, *chosen[0])),
        "flops": {
            **{name: getattr(counted, name) for name in ("forward", "credit", "tangents", "critical", "total")},
            "bp": reference.total,
        },
        "speedup": reference.total / counted.critical,
        "pipeline": _pipeline(counted, reference),
        "energy": _energy(own, bp, chosen),
    }


def steps_per_round(period: int, device: torch.device) -> int:
    """Steps timed without a synchronization between them: whole periods, and on a GPU at least eight steps.

    Training synchronizes once per epoch, so the CPU runs ahead of the GPU. A round of one step would forbid that, and
    BP's own step time would depend on the period of the rule beside it.
    """
    return period if device.type == "cpu" else period * -(-GPU_STEPS // period)


def _steps(trainer: Trainer, batches: list[Batch]) -> None:
    for inputs, labels in batches:
        trainer.step(inputs, labels)


def _rounds(trainer: Trainer, batches: list[Batch], steps: int) -> None:
    _steps(trainer, batches[:steps])


def _flops(trainer: Trainer, batch: Batch) -> StepFlops:
    """FLOPs of a training step; the optimizer left out."""
    inputs, labels = batch

    def loss_of(output: Any) -> Tensor:
        return F.cross_entropy(logits_of(output, trainer.data.classes), labels)

    return step_flops(trainer.network, ((inputs,), {}), loss_of)


def _pipeline(own: StepFlops, bp: StepFlops) -> dict[str, Any]:
    """By number of devices: speed-up over a step of BP on one, and the share of waiting; BP's beside it."""
    found: dict[str, Any] = {"micro_batches": MICRO_BATCHES}
    for mine, theirs in zip(pipelines(own), pipelines(bp), strict=True):
        found[str(mine.devices)] = {
            "speedup": bp.total / mine.time,
            "bubble": mine.bubble,
            "bp_speedup": bp.total / theirs.time,
            "bp_bubble": theirs.bubble,
        }
    return found


def _energy(own: Trainer, bp: Trainer, batches: list[Batch]) -> dict[str, float] | None:
    """Joules of a step by the GPU's own counter; None where there is none."""
    found: list[float] = []
    with EnergyMeter(own.clock.device) as meter:
        for trainer in (own, bp):
            joules = meter.per_step(partial(_rounds, trainer, batches), len(batches))
            if joules is None:
                return None
            found.append(joules)
    return {"step_j": found[0], "bp_step_j": found[1]}


def endless(data: DataSet, batch_size: int) -> Iterator[Batch]:
    """Training batches, pass after pass."""
    generator = torch.Generator().manual_seed(0)
    while True:
        yield from data.train.batches(batch_size, generator=generator)
