"""What an earlier run of the same plan has left, done or not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from grape_bench.plan.job import Job
from grape_bench.track.record import RECORD, Record, read_record

# A loss that is not finite comes again with the same seed: it is a result. The others may go well next time.
DONE = ("finished", "diverged")
FAILED = ("crashed", "oom", "timeout")


def own_record(job: Job, folder: Path) -> Record | None:
    """The record of `job` below `folder`, however it ended; None where there is none."""
    path = folder / job.name / RECORD
    if not path.is_file():
        return None
    record = read_record(path)
    return record if record["id"] == job.id else None


def split(jobs: Sequence[Job], folder: Path, retry: Collection[str] = FAILED) -> tuple[list[Record], list[Job]]:
    """The records of the jobs that are done with, and the jobs that are to be run: those that failed only where `retry`
    has the way in which they did."""
    done: list[Record] = []
    pending: list[Job] = []
    for job in jobs:
        record = own_record(job, folder)
        if record and record["status"] not in retry:
            done.append(record)
        else:
            pending.append(job)
    return done, pending
