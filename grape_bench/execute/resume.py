"""What earlier runs of a plan left on disk: finished jobs, jobs to run, and damaged files."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from grape_bench.record.collection import paused_collection
from grape_bench.record.damage import DamagedError, set_aside
from grape_bench.record.folder import own_record
from grape_bench.record.job import Job
from grape_bench.record.record import RECORD, Record
from grape_bench.record.status import FAILED, Status
from grape_bench.record.table import read_curve, read_diagnostics


@dataclass
class Left:
    """The jobs of a plan, sorted by what is on disk.

    `damaged` jobs are also `pending`, and so are those in `other_data`, which ran on other data of the same name. Jobs
    in `other_probes` are also `done`: only their diagnostics differ, which were taken at other times.
    """

    done: list[Record] = field(default_factory=list)
    pending: list[Job] = field(default_factory=list)
    damaged: list[tuple[Job, DamagedError]] = field(default_factory=list)
    other_data: list[Job] = field(default_factory=list)
    other_probes: list[Job] = field(default_factory=list)

    @property
    def note(self) -> str:
        """A line about the jobs that ran on other data, and one about other probes; empty if there are none."""
        lines = []
        if self.other_data:
            names = ", ".join(sorted({job.dataset for job in self.other_data}))
            run = "runs" if len(self.other_data) == 1 else "run"
            lines.append(f"{names}: the files have changed, so {_finished(self.other_data)} {run} again")
        if self.other_probes:
            jobs = _finished(self.other_probes)
            lines.append(f"{jobs}: diagnostics with other probes; to take them again, add --fresh")
        return "\n".join(lines)


def _finished(jobs: Sequence[Job]) -> str:
    return f"{len(jobs)} finished jobs" if len(jobs) > 1 else "1 finished job"


def survey(jobs: Sequence[Job], folder: Path, retry: Collection[Status] = FAILED) -> Left:
    """Sort `jobs` by their records in the suite's `folder`. Failed jobs are pending if their status is in `retry`."""
    left = Left()
    with paused_collection():
        for job in jobs:
            _sort(job, folder, retry, left)
    return left


def _sort(job: Job, folder: Path, retry: Collection[Status], left: Left) -> None:
    try:
        record = whole_record(job, folder)
    except DamagedError as error:
        left.damaged.append((job, error))
        record = None
    if record and not job.is_current(record.job):
        left.other_data.append(job)
        left.pending.append(job)
    elif record and record.status not in retry:
        left.done.append(record)
        if job.probes is not None and job.probes != record.job.probes:
            left.other_probes.append(job)
    else:
        left.pending.append(job)


def whole_record(job: Job, folder: Path) -> Record | None:
    """Return the record of `job`, with its tables checked, or None if there is none. Raises DamagedError."""
    record = own_record(job, folder)
    if record and record.status.is_result:
        read_curve(folder / job.name, record)
        read_diagnostics(folder / job.name, record)
    return record


def set_job_aside(job: Job, error: DamagedError, folder: Path) -> str:
    """Rename the damaged file, and the record if a table is damaged. Returns a message. Raises OSError."""
    record = folder / job.name / RECORD
    if error.path != record:
        set_aside(record)  # first: without a record the job runs again, even if we are interrupted here
    kept = set_aside(error.path)
    return f"{error.where}: {error.what}; renamed to {kept.name}"
