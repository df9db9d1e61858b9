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
from grape_bench.cost.turns import in_turns, ratio, steps_per_round
from grape_bench.data.dataset import DataSet, Example
from grape_bench.job.setup import build_model, make_trainer, pick_device
from grape_bench.record.job import Job
from grape_bench.train.loop import Trainer

ROUNDS, BUDGET_S = 40, 4.0


def profile(job: Job, data: DataSet) -> dict[str, Any]:
    """Measure the cost of a step of `job`. The keys of the result are those of a record's `profile`.

    `step_ratio` is the median over rounds of the rule's step time ÷ BP's, with the quartiles `low` and `high`. A round
    times the same batches under BP and under the rule. It covers whole periods of the rule, so that rare expensive
    steps count in full. The other keys are:
    - `split`: seconds of a step by phase. `holders`: bytes by what holds them.
    - `live`: peak bytes of live tensors, for the rule and for BP. They go to the record's `memory`.
    - `flops`: FLOPs of a step by phase, for the rule and for BP.
    - `speedup`: the step's speedup over BP if independent blocks ran in parallel and time were FLOPs.
    - `pipeline`: the same in a pipeline of several devices, by number of devices.
    - `energy`: joules of a step, for the rule and for BP, and the idle watts of the card.
    - `gpu_processes`: the number of processes computing on the GPU, according to its driver.
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
        **_energy(own, bp, chosen),
    }


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
    """By number of devices: the speedup over BP on one device, the share of waiting, and both numbers for BP."""
    found: dict[str, Any] = {"micro_batches": MICRO_BATCHES}
    for mine, theirs in zip(pipelines(own), pipelines(bp), strict=True):
        found[str(mine.devices)] = {
            "speedup": bp.total / mine.time,
            "bubble": mine.bubble,
            "bp_speedup": bp.total / theirs.time,
            "bp_bubble": theirs.bubble,
        }
    return found


def _energy(own: Trainer, bp: Trainer, batches: list[Example]) -> dict[str, Any]:
    """Joules of a step from the GPU's own counter, if it has one, and the number of processes on the card."""
    with EnergyMeter(own.clock.device) as meter:
        found: dict[str, Any] = {"gpu_processes": meter.processes(), "energy": None}
        if found["gpu_processes"] is not None:
            names = {"step_j": own, "bp_step_j": bp}
            joules = {n: meter.per_step(partial(_rounds, t, batches), len(batches)) for n, t in names.items()}
            if None not in joules.values():
                found["energy"] = {**joules, "idle_w": meter.idle_watts()}
    return found


def endless(data: DataSet, batch_size: int) -> Iterator[Example]:
    """Yield training batches, epoch after epoch."""
    generator = torch.Generator().manual_seed(0)
    while True:
        yield from data.train.batches(batch_size, generator=generator)
