"""What earlier runs of the same plan have left: jobs that are done, jobs to run, and files that are damaged."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from grape_bench.record.damage import DamagedError, set_aside
from grape_bench.record.folder import own_record
from grape_bench.record.job import Job
from grape_bench.record.record import RECORD, Record
from grape_bench.record.status import FAILED, Status
from grape_bench.record.table import read_curve, read_diagnostics


@dataclass
class Left:
    """The jobs of a plan, sorted by what is on disk; `damaged` jobs are also among the `pending` ones."""

    done: list[Record] = field(default_factory=list)
    pending: list[Job] = field(default_factory=list)
    damaged: list[tuple[Job, DamagedError]] = field(default_factory=list)


def survey(jobs: Sequence[Job], folder: Path, retry: Collection[Status] = FAILED) -> Left:
    """What the suite's `folder` holds of `jobs`; failed jobs are pending where their status is one of `retry`."""
    left = Left()
    for job in jobs:
        try:
            record = whole_record(job, folder)
        except DamagedError as error:
            left.damaged.append((job, error))
            record = None
        if record and record.status not in retry:
            left.done.append(record)
        else:
            left.pending.append(job)
    return left


def whole_record(job: Job, folder: Path) -> Record | None:
    """The record of `job` with its tables checked; None where there is none. Raises DamagedError."""
    record = own_record(job, folder)
    if record and record.status.is_result:
        read_curve(folder / job.name, record)
        read_diagnostics(folder / job.name, record)
    return record


def set_job_aside(job: Job, error: DamagedError, folder: Path) -> str:
    """Rename the damaged file, and the record that a damaged table belongs to; a message about it. Raises OSError."""
    record = folder / job.name / RECORD
    if error.path != record:
        set_aside(record)  # first: without its record the job runs again, whatever happens next
    kept = set_aside(error.path)
    return f"{error.where}: {error.what}; kept as {kept.name}, and the job runs again"
