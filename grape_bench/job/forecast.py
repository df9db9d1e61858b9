"""Predict how long a job will take from a few of its steps."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from grape_bench.cost.clock import Clock
from grape_bench.cost.step import SPLIT_BUDGET_S, SPLIT_LEAST, SPLIT_WARM_UP
from grape_bench.cost.turns import LEAST, WARM_UP
from grape_bench.data.dataset import DataSet, Example
from grape_bench.errors import located
from grape_bench.job.converged_head import BUDGET
from grape_bench.job.profile import BUDGET_S, endless
from grape_bench.job.setup import EXAMPLE, build_model, load_data, make_trainer, pick_device
from grape_bench.record.job import Job
from grape_bench.rules.frozen import Frozen
from grape_bench.train.head_features import linear_head
from grape_bench.train.loop import Trainer
from grape_bench.train.precision import set_arithmetic

ENOUGH_S, MOST_S = 0.5, 10.0


def forecast(jobs: Sequence[dict[str, Any]], threads: int) -> list[dict[str, float]]:
    """Predict the seconds of each job (`job`) and of its step profile (`profile`). `jobs` are `Job.to_dict()` results.

    Raises the UserError of a job that cannot run, with its task and rule.
    """
    torch.set_num_threads(threads)
    found = []
    for job in map(Job.from_dict, jobs):
        with located(f"task {job.task!r}, rule {job.rule!r}"):
            found.append(_forecast(job))
    return found


def _forecast(job: Job) -> dict[str, float]:
    start = time.perf_counter()
    set_arithmetic(job.precision, deterministic=job.deterministic)
    device = pick_device()
    data = load_data(job, device)
    trainer = make_trainer(job, build_model(job, data, device), data, job.rule, job.rule_settings)
    trainer.network.begin_epoch(trainer.budget.batches)
    batches = endless(data, job.batch_size)
    trainer.step(*next(batches))  # the first step includes one-time work
    setup = time.perf_counter() - start
    step = _step_seconds(trainer, batches)
    clock = Clock(device)
    with clock.running():
        trainer.evaluate(data.validation)
    per_sample = clock.seconds / len(data.validation)
    budget = trainer.budget
    steps = budget.batches_in(budget.steps)  # of one mini-batch each
    evaluations = -(-budget.steps // (budget.evaluate_every or budget.steps_per_epoch))
    period = trainer.network.rule.period
    head = _head_seconds(trainer, data, steps * step, per_sample)
    if isinstance(trainer.network.rule, Frozen):
        return {"job": setup + head, "profile": 0.0}
    training = steps * step + (evaluations * len(data.validation) + len(data.test)) * per_sample
    return {
        "job": setup + training + (head if job.trial is None else 0.0),
        "profile": 2 * setup
        + max(BUDGET_S, (WARM_UP + LEAST) * 2 * period * step)
        + max(SPLIT_BUDGET_S, (SPLIT_WARM_UP + SPLIT_LEAST) * period * step),
    }


def _head_seconds(trainer: Trainer, data: DataSet, training: float, per_sample: float) -> float:
    """The seconds of a converged head: the forwards of a fit, or up to `BUDGET` times the `training` seconds."""
    network = trainer.network
    if not network.blocks:
        return 0.0
    if linear_head(network, *next(iter(data.validation.batches(EXAMPLE))), trainer.objective) is None:
        return BUDGET * training
    return (2 * len(data.train) + 2 * len(data.validation) + len(data.test)) * per_sample


def _step_seconds(trainer: Trainer, batches: Iterator[Example]) -> float:
    """Measure the mean seconds per step over whole periods of the rule."""
    period = trainer.network.rule.period
    clock, steps = Clock(trainer.clock.device), 0
    while clock.seconds < ENOUGH_S or (steps % period and clock.seconds < MOST_S):
        with clock.running():
            trainer.step(*next(batches))
        steps += 1
    return clock.seconds / steps
