"""Before a sweep starts: what the fork server preloads, and a check of the jobs.

The check finds mistakes right away that would otherwise fail a job an hour later.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from grape_bench.errors import DoesNotApplyError, located
from grape_bench.execute.ask import ask, ask_about
from grape_bench.execute.pool import DiedError, Pool
from grape_bench.models.names import SOURCES
from grape_bench.record.job import Job
from grape_bench.rules.names import RULES

# Data sets that are not in the cache of decoded images are loaded once, in the fork server.
_DATA = {
    "digits": "grape_bench.data.digits:read",
    "mnist1d": "grape_bench.data.mnist1d:generate",
    "diabetes": "grape_bench.data.diabetes",
    "yin_yang": "grape_bench.data.yin_yang:generate",
    "hf": "grape_bench.data.hub",
}
_EVERY_JOB = (
    "torch",
    "numpy.ma",  # numpy.unique imports it on its first call
    "grape_bench.execute.local",
    "grape_bench.execute.worker",
    "grape_bench.rules.make",
    "grape_bench.objectives.classification",
    "grape_bench.network.tangents",
    "grape_bench.record.environment:software",  # a twentieth of a small job's time
)
_OTHER_DATA = "grape_bench.data.named"
REHEARSAL_S = 20.0  # plus one second per job


def preload(jobs: Sequence[Job], trainer: str) -> list[str]:
    """Return the modules and cached functions that these jobs need, each once. The user's own code is left out."""
    names = dict.fromkeys([*_EVERY_JOB, trainer])
    for job in jobs:
        if source := SOURCES.builtin(job.model.partition(":")[0]):
            names[source.target.partition(":")[0]] = None
        names[_DATA.get(job.dataset.partition(":")[0], _OTHER_DATA)] = None
    return list(names)


def preflight(pool: Pool, jobs: Sequence[Job], trainer: str) -> int:
    """Check the first job of each task and rule in a child of `pool`, and return the number of GPUs that it sees.

    Then rehearse the jobs of the user's own rules. Raises the UserError of the trainer's `check` or `rehearse`, or a
    UserError for a job whose check ends its process.
    """
    distinct = {(job.task, job.rule): job for job in reversed(jobs)}
    chosen = list(reversed(distinct.values()))
    gpus: list[int] = ask_about(pool, "grape_bench.execute.preflight:check", [j.to_dict() for j in chosen], trainer)
    _rehearse(pool, [job.to_dict() for job in chosen if job.rule_name.reference not in RULES], trainer)
    return gpus[-1]


def _rehearse(pool: Pool, jobs: Sequence[dict[str, Any]], trainer: str) -> None:
    """Rehearse jobs in one child. If it dies, use a child per job, because the user's code may do anything.

    A job whose child dies or takes too long raises nothing: its run will record what happens.
    """
    if not jobs:
        return
    try:
        ask(pool, "grape_bench.execute.preflight:rehearse", jobs, trainer, timeout_s=REHEARSAL_S + len(jobs))
    except TimeoutError:
        return
    except DiedError:
        for job in jobs if len(jobs) > 1 else ():
            _rehearse(pool, [job], trainer)


def check_apart(jobs: Sequence[Job], trainer: str) -> None:
    """Check the jobs in a temporary process, for executors that run jobs on other machines."""
    pool = Pool(preload(jobs, trainer))
    try:
        preflight(pool, jobs, trainer)
    finally:
        pool.close()


def rehearse(jobs: Sequence[dict[str, Any]], trainer: str) -> None:
    """In the child: rehearse each job."""
    module = import_module(trainer)
    for job in map(Job.from_dict, jobs):
        with located(f"task {job.task!r}, rule {job.rule!r}"):
            module.rehearse(job)


def check(jobs: Sequence[dict[str, Any]], trainer: str) -> int:
    """In the child: check each job, and return the number of GPUs."""
    module = import_module(trainer)
    for job in map(Job.from_dict, jobs):
        with located(f"task {job.task!r}, rule {job.rule!r}"):
            try:
                module.check(job)
            except DoesNotApplyError as error:
                without = f"""--set '{job.task}.skip=["{job.rule}"]' to leave the rule out of this task"""
                error.hint = f"{error.hint}, or {without}" if error.hint else without
                raise
    count: int = module.gpu_count()
    return count
