"""Try jobs out for a moment, to know how long they will take."""

from __future__ import annotations

from collections.abc import Sequence

from grape_bench.execute.answer import ask
from grape_bench.execute.executor import TRAINER
from grape_bench.execute.pool import Pool
from grape_bench.execute.preload import preload
from grape_bench.record.job import Job
from grape_bench.track.environment import core_count


def profile(jobs: Sequence[Job], slots: int) -> list[dict[str, float]]:
    """What `job.forecast` says of each of `jobs`, with the threads that they will have on `slots` slots.

    Raises the UserError of a job that cannot be run.
    """
    pool = Pool(preload(jobs, TRAINER))
    try:
        threads = max(1, core_count() // slots)
        found: list[dict[str, float]] = ask(
            pool, "grape_bench.job.forecast:forecast", [job.to_dict() for job in jobs], threads
        )
        return found
    finally:
        pool.close()
