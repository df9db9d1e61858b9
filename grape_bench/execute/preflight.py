"""Look at jobs before anything is written: what can be known now must not fail an hour later."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from grape_bench.execute.answer import ask
from grape_bench.execute.pool import Pool
from grape_bench.execute.preload import preload
from grape_bench.record.job import Job


def preflight(pool: Pool, jobs: Sequence[Job], trainer: str) -> int:
    """Check the first job of each task and rule in a child of `pool`; the number of GPUs that it sees.

    Raises the UserError that the trainer's `check` raised; RuntimeError when the child dies of something else.
    """
    distinct = {(job.task, job.rule): job for job in reversed(jobs)}
    values = [job.to_dict() for job in reversed(distinct.values())]
    gpus: int = ask(pool, "grape_bench.execute.preflight:check", values, trainer)
    return gpus


def check_apart(jobs: Sequence[Job], trainer: str) -> None:
    """The same in a process that ends with the check, for executors whose jobs run on other machines."""
    pool = Pool(preload(jobs, trainer))
    try:
        preflight(pool, jobs, trainer)
    finally:
        pool.close()


def check(jobs: Sequence[dict[str, Any]], trainer: str) -> int:
    """In the child: check each job; the number of GPUs."""
    module = import_module(trainer)
    for values in jobs:
        module.check(Job.from_dict(values))
    count: int = module.gpu_count()
    return count
