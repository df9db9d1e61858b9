"""Step time as a ratio to backpropagation, measured in turns in one process."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from grape_bench.data.dataset import DataSet
from grape_bench.plan.job import Job
from grape_bench.train.loop import Trainer
from grape_bench.train.setup import build_model, make_trainer
from grape_bench.train.turns import in_turns, ratio

ROUNDS, BUDGET_S = 40, 1.5


def step_ratio(job: Job, data: DataSet) -> dict[str, Any]:
    """Median over rounds of the rule's step time ÷ BP's, with the quartiles as `low` and `high`.

    A round times the same batches under BP and under the rule; it is as long as the rule's period, so that what
    a rule does now and then is counted in full.
    """
    device = next(iter(data.validation.batches(1)))[0].device

    def fresh(rule: str, settings: dict[str, Any]) -> Trainer:
        trainer = make_trainer(job, build_model(job, data, device), data, rule, settings)
        trainer.network.begin_epoch(data.train.batch_count(job.batch_size))
        return trainer

    bp, own = fresh("bp", {}), fresh(job.rule, job.rule_settings)
    period = own.network.rule.period if own.network.rule else 1
    batches = _endless(data, job.batch_size)
    chosen = [next(batches) for _ in range(period)]
    work = {"bp": lambda: _steps(bp, chosen), "own": lambda: _steps(own, chosen)}
    seconds = in_turns(work, device, ROUNDS, BUDGET_S)
    measured = ratio(seconds["own"], seconds["bp"])
    return {
        "step_ratio": measured.median,
        "low": measured.low,
        "high": measured.high,
        "bp_step_s": statistics.median(seconds["bp"]) / period,
        "rounds": len(seconds["bp"]),
    }


def _steps(trainer: Trainer, batches: list[tuple[Tensor, Tensor]]) -> None:
    for inputs, labels in batches:
        trainer.step(inputs, labels)


def _endless(data: DataSet, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    while True:
        yield from data.train.batches(batch_size, generator=generator)
