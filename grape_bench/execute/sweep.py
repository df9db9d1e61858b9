"""A plan from the first check to the last record."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError
from grape_bench.execute.executor import EXECUTORS, Display, Executor, Options
from grape_bench.execute.folder import check_folder, locked, make_folder
from grape_bench.execute.resume import set_job_aside, survey
from grape_bench.execute.worker import tidy
from grape_bench.plan.expand import Plan
from grape_bench.record.damage import DamagedError, set_aside
from grape_bench.record.job import Job
from grape_bench.record.manifest import MANIFEST, Manifest, read_manifest
from grape_bench.record.record import RECORD, Record
from grape_bench.record.status import FAILED, Status
from grape_bench.track.environment import git_state
from grape_bench.track.mirror import Mirror, Sweep

# What a disk or its owner can refuse; anything else of the system's is a mistake in this program.
_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


@dataclass(frozen=True)
class Request:
    """What is to be run, where, and how."""

    plan: Plan
    folder: Path  # of the suite: records lie in a folder per job below it
    executor: str = "local"
    options: Options = field(default_factory=Options)
    fresh: bool = False
    retry: tuple[Status, ...] = FAILED  # the failed jobs that are run again


def run_sweep(request: Request, display: Display, mirror: Mirror | None) -> list[Record]:
    """Run the jobs of the plan that are not done; the records of all of them, in the plan's order.

    Raises UserError before anything is written when a job cannot be run, and later when the disk refuses.
    KeyboardInterrupt ends every process and is passed on.
    """
    make_executor = EXECUTORS.get(request.executor)
    check_folder(request.folder)
    jobs = request.plan.jobs
    pending = jobs if request.fresh else survey(jobs, request.folder, request.retry).pending
    if not pending:
        return _finish(request, display, mirror)
    with make_executor(request.options, pending) as executor:
        executor.check(pending)
        make_folder(request.folder)
        with locked(request.folder) as descriptor:
            executor.hold(descriptor)
            return _go(request, executor, display, mirror)


def _finish(request: Request, display: Display, mirror: Mirror | None) -> list[Record]:
    """A sweep with nothing left to run: what it says on disk and in the mirror is brought up to date."""
    with locked(request.folder):
        return _go(request, None, display, mirror)


def _go(request: Request, executor: Executor | None, display: Display, mirror: Mirror | None) -> list[Record]:
    folder, jobs = request.folder, request.plan.jobs
    try:
        if request.fresh:
            _remove(jobs, folder)
        manifest = _write_manifest(request, display)
        left = survey(jobs, folder, request.retry)
        done, pending = left.done, left.pending
        for job, error in left.damaged:
            display.warned(set_job_aside(job, error, folder))
        for record in done:
            if record.status.is_result:
                tidy(folder / record.name)  # after a worker that was killed before it could
        telling = _Telling(display, mirror)
        telling.began(Sweep(manifest.suite, manifest.version, manifest.sweep, folder), done)
        display.began(done, pending, executor.slots() if executor else 0)
        try:
            if executor and pending:
                executor.run(pending, folder, telling)
            records = {record.id: record for record in (*done, *telling.records)}
            return [records[job.id] for job in jobs]
        finally:
            display.closed()
            if mirror:
                complete = len(telling.records) == len(pending)
                mirror.close(complete=complete, patience_s=30 if complete else 10)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        hint = "once it can be written, the same command continues where this one stopped"
        where = str(error.filename or folder)
        raise UserError(f"cannot be written: {error.strerror}", where=where, hint=hint) from error


def _remove(jobs: Sequence[Job], folder: Path) -> None:
    for job in jobs:
        if (folder / job.name).is_dir():
            # First, so that an interruption leaves no record without its files.
            (folder / job.name / RECORD).unlink(missing_ok=True)
            shutil.rmtree(folder / job.name)


def _write_manifest(request: Request, display: Display) -> Manifest:
    """Write the manifest of this run, from the plan; it keeps the name of the folder's last sweep, except with --fresh.

    A damaged manifest is set aside.
    """
    suite = request.plan.suite
    manifest = Manifest(suite.name, suite.version, git_state(), request.plan.jobs)
    path = request.folder / MANIFEST
    if path.is_file() and not request.fresh:
        try:
            old = read_manifest(path)
            if (old.suite, old.version) == (suite.name, suite.version):
                manifest = replace(manifest, sweep=old.sweep)
        except DamagedError as error:
            kept = set_aside(path)
            display.warned(f"{error.where}: {error.what}; kept as {kept.name}, and written again from the plan")
    manifest.write(request.folder)
    shutil.copyfile(request.plan.path, request.folder / "suite.toml")
    return manifest


class _Telling:
    """Passes on what happens to the display and to the mirror, and keeps the records."""

    def __init__(self, display: Display, mirror: Mirror | None) -> None:
        self.display, self.mirror = display, mirror
        self.records: list[Record] = []

    def began(self, sweep: Sweep, done: Sequence[Record]) -> None:
        if self.mirror:
            self.mirror.open(sweep)
            for record in done:
                self.mirror.add(record)

    def started(self, job: Job) -> None:
        self.display.started(job)

    def progressed(self, progress: dict[str, dict[str, Any]]) -> None:
        self.display.progressed(progress)

    def ended(self, record: Record) -> None:
        self.records.append(record)
        self.display.ended(record)
        if self.mirror:
            self.mirror.add(record)
