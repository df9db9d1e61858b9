"""The profile in a job's record: what a step costs relative to BP, by phase, in FLOPs, memory and energy."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor

from grape_bench.cost.energy import EnergyMeter
from grape_bench.cost.flops import StepFlops, step_flops
from grape_bench.cost.live import live_bytes
from grape_bench.cost.pipeline import MICRO_BATCHES, pipelines
from grape_bench.cost.step import holders, time_split
from grape_bench.cost.turns import in_turns, ratio
from grape_bench.data.dataset import DataSet, Example
from grape_bench.job.setup import build_model, make_trainer, pick_device
from grape_bench.record.job import Job
from grape_bench.train.loop import Trainer

ROUNDS, BUDGET_S = 40, 4.0
GPU_STEPS = 8


def profile(job: Job, data: DataSet) -> dict[str, Any]:
    """Measure the cost of a step of `job`. The keys of the result are those of a record's `profile`.

    `step_ratio` is the median over rounds of the rule's step time ÷ BP's, with the quartiles `low` and `high`. A round
    times the same batches under BP and under the rule. It covers whole periods of the rule, so that rare expensive
    steps count in full. The other keys are:
    - `split`: seconds of a step by phase. `holders`: bytes by what holds them.
    - `live`: peak bytes of live tensors, and those of BP. They go to the record's `memory`.
    - `flops`: FLOPs of a step by phase, and those of BP.
    - `speedup`: of a step over BP's, if independent blocks ran in parallel and time were FLOPs.
    - `pipeline`: the same on several devices in a pipeline, by number of devices.
    - `energy`: joules of a step, and of a step of BP.
    """
    device = pick_device()

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
        "split": time_split(own, batches, device).record(),
        "holders": asdict(holders(own, *chosen[0])),
        "live": {"live_bytes": _live(own, chosen), "bp_live_bytes": _live(bp, chosen)},
        "flops": {
            "forward": counted.forward,
            "credit": counted.backward,
            "tangents": counted.tangents,
            "critical": counted.critical,
            "total": counted.total,
            "bp": reference.total,
        },
        "speedup": reference.total / counted.critical,
        "pipeline": _pipeline(counted, reference),
        "energy": _energy(own, bp, chosen),
    }


def steps_per_round(period: int, device: torch.device) -> int:
    """The number of steps to time without a synchronization: whole periods, and on a GPU at least eight steps.

    Training synchronizes once per epoch, so the CPU runs ahead of the GPU. In rounds of one step it could not, and BP's
    own step time would depend on the period of the rule that it is compared with.
    """
    return period if device.type == "cpu" else period * -(-GPU_STEPS // period)


def _steps(trainer: Trainer, batches: list[Example]) -> None:
    for batch, target in batches:
        trainer.step(batch, target)


def _rounds(trainer: Trainer, batches: list[Example], steps: int) -> None:
    _steps(trainer, batches[:steps])


def _live(trainer: Trainer, batches: list[Example]) -> int:
    return live_bytes(trainer, batches[: trainer.network.rule.period], lambda example: trainer.step(*example))


def _flops(trainer: Trainer, example: Example) -> StepFlops:
    """Count the FLOPs of a training step, without the optimizer."""
    batch, target = example

    def loss_of(output: Any) -> Tensor:
        return trainer.loss_of(output, target)

    return step_flops(trainer.network, batch, loss_of, target=target)


def _pipeline(own: StepFlops, bp: StepFlops) -> dict[str, Any]:
    """By number of devices: the speed-up over BP on one device, the share of waiting, and both numbers for BP."""
    found: dict[str, Any] = {"micro_batches": MICRO_BATCHES}
    for mine, theirs in zip(pipelines(own), pipelines(bp), strict=True):
        found[str(mine.devices)] = {
            "speedup": bp.total / mine.time,
            "bubble": mine.bubble,
            "bp_speedup": bp.total / theirs.time,
            "bp_bubble": theirs.bubble,
        }
    return found


def _energy(own: Trainer, bp: Trainer, batches: list[Example]) -> dict[str, float] | None:
    """Joules of a step from the GPU's own counter, or None without such a counter."""
    found: list[float] = []
    with EnergyMeter(own.clock.device) as meter:
        for trainer in (own, bp):
            joules = meter.per_step(partial(_rounds, trainer, batches), len(batches))
            if joules is None:
                return None
            found.append(joules)
    return {"step_j": found[0], "bp_step_j": found[1]}


def endless(data: DataSet, batch_size: int) -> Iterator[Example]:
    """Yield training batches, epoch after epoch."""
    generator = torch.Generator().manual_seed(0)
    while True:
        yield from data.train.batches(batch_size, generator=generator)
