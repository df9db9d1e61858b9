"""Step time as a ratio to backpropagation, measured in turns in one process, and the FLOPs of a step."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from grape_bench.data.dataset import DataSet
from grape_bench.diagnose.flops import step_flops
from grape_bench.plan.job import Job
from grape_bench.train.evaluate import logits_of
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
    batches = endless(data, job.batch_size)
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
        "flops": _flops(own, bp, chosen[0]),
    }


def _steps(trainer: Trainer, batches: list[tuple[Tensor, Tensor]]) -> None:
    for inputs, labels in batches:
        trainer.step(inputs, labels)


def _flops(own: Trainer, bp: Trainer, batch: tuple[Tensor, Tensor]) -> dict[str, float]:
    """FLOPs of a training step of the rule (all of them, and of which kind) and of BP's; the optimizer left out."""
    inputs, labels = batch

    def loss_of(output: Any) -> Tensor:
        return F.cross_entropy(logits_of(output, own.data.classes), labels)

    counted = step_flops(own.network, ((inputs,), {}), loss_of)
    reference = step_flops(bp.network, ((inputs,), {}), loss_of)
    return {**asdict(counted), "total": counted.total, "bp": reference.total}


def endless(data: DataSet, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Training batches, pass after pass."""
    generator = torch.Generator().manual_seed(0)
    while True:
        yield from data.train.batches(batch_size, generator=generator)
