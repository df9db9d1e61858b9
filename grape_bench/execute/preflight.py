"""Look at jobs before anything is written: what can be known now must not fail an hour later."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError
from grape_bench.execute.pool import Pool
from grape_bench.execute.preload import preload
from grape_bench.plan.job import Job


def preflight(pool: Pool, jobs: Sequence[Job], trainer: str) -> int:
    """Check the first job of each task and rule in a child of `pool`; the number of GPUs that it sees.

    Raises the UserError that the trainer's `check` raised; RuntimeError when the child dies of something else.
    """
    distinct = {(job.task, job.rule): job for job in reversed(jobs)}
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer"
        arguments = {
            "jobs": [job.to_dict() for job in reversed(distinct.values())],
            "trainer": trainer,
            "answer": str(answer),
        }
        pool.start("preflight", "grape_bench.execute.preflight:check", arguments)
        code = None
        while code is None:
            code = dict(pool.ended(None)).get("preflight")
        if code != 0:
            raise RuntimeError(f"the check before the run ended with exit code {code}:\n{pool.log()[-4000:]}")
        content: UserError | int = pickle.loads(answer.read_bytes())
    if isinstance(content, UserError):
        raise content
    return content


def check_apart(jobs: Sequence[Job], trainer: str) -> None:
    """The same in a process that ends with the check, for executors whose jobs run on other machines."""
    pool = Pool(preload(jobs, trainer))
    try:
        preflight(pool, jobs, trainer)
    finally:
        pool.close()


def check(arguments: dict[str, Any]) -> int:
    """In the child: check the jobs, write the first UserError or the number of GPUs; the exit code."""
    content: UserError | int
    try:
        trainer = import_module(arguments["trainer"])
        for values in arguments["jobs"]:
            trainer.check(Job.from_dict(values))
        content = trainer.gpu_count()
    except UserError as error:
        content = error
    Path(arguments["answer"]).write_bytes(pickle.dumps(content))
    return 0
