"""Runs a plan, from the first check to the last record."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from typing_extensions import override

from grape_bench.errors import UserError
from grape_bench.execute.executor import EXECUTORS, Display, Executor, JobEvents, Options
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

# Errors of a full or read-only disk. Any other OSError is a bug in this program.
_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


@dataclass(frozen=True)
class Request:
    """What to run, where, and how."""

    plan: Plan
    folder: Path  # of the suite; each job has a folder below it
    executor: str = "local"
    options: Options = field(default_factory=Options)
    fresh: bool = False
    retry: tuple[Status, ...] = FAILED  # run failed jobs with these statuses again


def run_sweep(request: Request, display: Display, mirror: Mirror | None) -> list[Record]:
    """Run the jobs of the plan that are not done. Returns the records of all jobs, in the plan's order.

    Raises UserError before writing anything if a job cannot run, and later if the disk is full or read-only. A
    KeyboardInterrupt kills every process and propagates.
    """
    make_executor = EXECUTORS.get(request.executor)
    check_folder(request.folder)
    jobs = request.plan.jobs
    pending = jobs if request.fresh else survey(jobs, request.folder, request.retry).pending
    if not pending:
        with locked(request.folder):  # only the manifest and the mirror need an update
            return _run(request, None, display, mirror)
    with make_executor(request.options, pending) as executor:
        executor.check(pending)
        make_folder(request.folder)
        with locked(request.folder) as descriptor:
            executor.hold(descriptor)
            return _run(request, executor, display, mirror)


def _run(request: Request, executor: Executor | None, display: Display, mirror: Mirror | None) -> list[Record]:
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
                tidy(folder / record.name)  # a worker that was killed may have left files
        events = _Events(display, mirror)
        events.began(Sweep(manifest.suite, manifest.version, manifest.sweep, folder), done)
        display.began(done, pending, executor.slots() if executor else 0)
        try:
            if executor and pending:
                executor.run(pending, folder, events)
            records = {record.id: record for record in (*done, *events.records)}
            return [records[job.id] for job in jobs]
        finally:
            display.closed()
            if mirror:
                complete = len(events.records) == len(pending)
                mirror.close(complete=complete, patience_s=30 if complete else 10)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        hint = "free some space or fix the permissions, then run the same command again to resume"
        where = str(error.filename or folder)
        raise UserError(f"cannot write this file: {error.strerror}", where=where, hint=hint) from error


def _remove(jobs: Sequence[Job], folder: Path) -> None:
    for job in jobs:
        if (folder / job.name).is_dir():
            # Delete the record first, so that an interruption leaves no record without its files.
            (folder / job.name / RECORD).unlink(missing_ok=True)
            shutil.rmtree(folder / job.name)


def _write_manifest(request: Request, display: Display) -> Manifest:
    """Write the manifest from the plan. It keeps the sweep id of the folder's last manifest, except with --fresh.

    A damaged manifest is renamed.
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
            display.warned(f"{error.where}: {error.what}; renamed to {kept.name}, and written again from the plan")
    manifest.write(request.folder)
    kept = request.folder / "suite.toml"
    if not kept.exists() or not kept.samefile(request.plan.path):  # `run runs/quickstart/suite.toml` reads this file
        shutil.copyfile(request.plan.path, kept)
    return manifest


class _Events(JobEvents):
    """Passes events on to the display and the mirror, and collects the records."""

    def __init__(self, display: Display, mirror: Mirror | None) -> None:
        self.display, self.mirror = display, mirror
        self.records: list[Record] = []

    def began(self, sweep: Sweep, done: Sequence[Record]) -> None:
        if self.mirror:
            self.mirror.open(sweep)
            for record in done:
                self.mirror.add(record)

    @override
    def started(self, job: Job) -> None:
        self.display.started(job)

    @override
    def progressed(self, progress: dict[str, dict[str, Any]]) -> None:
        self.display.progressed(progress)

    @override
    def ended(self, record: Record) -> None:
        self.records.append(record)
        self.display.ended(record)
        if self.mirror:
            self.mirror.add(record)
