"""Step time as a ratio to backpropagation, measured in turns in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from grape_bench.data.dataset import DataSet
from grape_bench.plan.job import Job
from grape_bench.train.loop import Trainer
from grape_bench.train.setup import build_model, make_trainer

WARM_UP, LEAST, MOST = 2, 5, 40  # rounds
BUDGET_S = 1.5  # after which no further round is begun


def step_ratio(job: Job, data: DataSet) -> dict[str, Any]:
    """Median over rounds of the rule's step time ÷ BP's, with the quartiles as `low` and `high`.

    A round times the same batches under BP and under the rule one after the other, so a busy machine slows
    both; it is as long as the rule's period, so that what a rule does now and then is counted in full.
    """

    def fresh(rule: str, settings: dict[str, Any]) -> Trainer:
        trainer = make_trainer(job, build_model(job, data, device), data, rule, settings)
        trainer.network.begin_epoch(data.train.batch_count(job.batch_size))
        return trainer

    device = next(iter(data.validation.batches(1)))[0].device
    bp, rule = fresh("bp", {}), fresh(job.rule, job.rule_settings)
    period = rule.network.rule.period if rule.network.rule else 1
    batches = _endless(data, job.batch_size)
    pairs: list[tuple[float, float]] = []
    started = time.perf_counter()
    for turn in range(WARM_UP + MOST):
        chosen = [next(batches) for _ in range(period)]
        pair = _seconds(bp, chosen), _seconds(rule, chosen)
        if turn >= WARM_UP:
            pairs.append(pair)
        if len(pairs) >= LEAST and time.perf_counter() - started > BUDGET_S:
            break
    low, middle, high = statistics.quantiles([b / a for a, b in pairs], n=4)
    seconds = statistics.median(a for a, _ in pairs) / period
    return {"step_ratio": middle, "low": low, "high": high, "bp_step_s": seconds, "rounds": len(pairs)}


def _seconds(trainer: Trainer, batches: list[tuple[Tensor, Tensor]]) -> float:
    before = trainer.clock.seconds
    with trainer.clock.running():
        trainer.steps(batches)
    return trainer.clock.seconds - before


def _endless(data: DataSet, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    while True:
        yield from data.train.batches(batch_size, generator=generator)
