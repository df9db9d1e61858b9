"""Runs a plan, from the first check to the last record."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from typing_extensions import override

from grape_bench.errors import UserError
from grape_bench.execute.executor import EXECUTORS, Display, Executor, JobEvents, Options
from grape_bench.execute.faults import fault
from grape_bench.execute.folder import check_folder, locked, make_folder
from grape_bench.execute.gpus import device_note
from grape_bench.execute.job_folder import tidy
from grape_bench.execute.resume import set_job_aside, survey
from grape_bench.execute.threads import check_threads, kept_threads, thread_note
from grape_bench.plan.expand import Plan
from grape_bench.record.damage import DamagedError, set_aside
from grape_bench.record.environment import git_state
from grape_bench.record.job import Job
from grape_bench.record.manifest import MANIFEST, SUITE, Manifest, Planned, new_sweep, read_manifest
from grape_bench.record.record import RECORD, Record, read_record
from grape_bench.record.status import FAILED, Status
from grape_bench.track.mirror import Mirror
from grape_bench.track.store import Sweep


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
    kept = {} if request.fresh else kept_threads(request.folder)
    check_threads(request.options.threads, kept)
    options = replace(request.options, kept_threads=kept, git=git_state())
    with make_executor(options, pending) as executor:
        executor.check(pending)
        for note in filter(None, (thread_note(executor, pending, kept), device_note())):
            display.warned(note)
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
        if left.note:
            display.warned(left.note)
        for job, error in left.damaged:
            display.warned(f"{set_job_aside(job, error, folder)}, and the job runs again")
        ids = {job.id for job in jobs}
        for job, error in survey([job for job in manifest.jobs if job.id not in ids], folder).damaged:
            display.warned(f"{set_job_aside(job, error, folder)}; this command does not run the job again")
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
        message = fault(error)
        if message is None:
            raise
        raise message from error


def _remove(jobs: Sequence[Job], folder: Path) -> None:
    for job in jobs:
        if (folder / job.name).is_dir():
            # Delete the record first, so that an interruption leaves no record without its files.
            (folder / job.name / RECORD).unlink(missing_ok=True)
            shutil.rmtree(folder / job.name)


def _write_manifest(request: Request, display: Display) -> Manifest:
    """Add the plan to the folder's manifest, and write it. It keeps its sweep id, except with --fresh."""
    plan, folder = request.plan, request.folder
    old = _old_manifest(plan, folder, display)
    if old is None or not old.planned:
        # An earlier version of grape-bench left only the jobs of the last command, or there is no manifest.
        recorded = {record.job.id: record.job for record in _recorded(plan, folder)}
        planned = {identity: Planned(order) for order, identity in enumerate(recorded, start=1)}
        before = Manifest(plan.suite.name, plan.suite.version, git_state(), [*recorded.values()][::-1], planned=planned)
        old = replace(before, sweep=old.sweep).joined(old.jobs) if old else before
    manifest = replace(old, git=git_state()).joined(plan.jobs, plan.overrides)
    manifest = replace(manifest, jobs=plan.ordered(manifest.jobs))
    if request.fresh:
        manifest = replace(manifest, sweep=new_sweep())
    for draft in (*folder.glob(f".*.{MANIFEST}"), *folder.glob(f".{MANIFEST}.*")):
        draft.unlink(missing_ok=True)  # left by a killed scheduler; this one holds the lock
    manifest.write(folder)
    kept = folder / SUITE
    if not kept.exists() or not kept.samefile(plan.path):  # `run runs/quickstart/suite.toml` reads this file
        shutil.copyfile(plan.path, kept)
    return manifest


def _old_manifest(plan: Plan, folder: Path, display: Display) -> Manifest | None:
    """The folder's manifest, if it belongs to the same suite and version. A damaged manifest is renamed."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        old = read_manifest(path)
    except DamagedError as error:
        kept = set_aside(path)
        display.warned(f"{error.where}: {error.what}; renamed to {kept.name}, and written again from the records")
        return None
    return old if (old.suite, old.version) == (plan.suite.name, plan.suite.version) else None


def _recorded(plan: Plan, folder: Path) -> list[Record]:
    """The readable records of this suite and version in the folder, oldest first."""
    found = []
    for path in folder.glob(f"*/{RECORD}"):
        with suppress(UserError):
            record = read_record(path)
            if (record.suite, record.job.version, record.id) == (plan.suite.name, plan.suite.version, record.job.id):
                found.append(record)
    return sorted(found, key=lambda record: record.ended)


class _Events(JobEvents):
    """Passes events on to the display and the mirror, and collects the records."""

    def __init__(self, display: Display, mirror: Mirror | None) -> None:
        self.display, self.mirror = display, mirror
        self.records: list[Record] = []
        self._running: dict[str, Job] = {}

    def began(self, sweep: Sweep, done: Sequence[Record]) -> None:
        if self.mirror:
            self.mirror.open(sweep)
            for record in done:
                self.mirror.add(record)

    @override
    def started(self, job: Job) -> None:
        self._running[job.id] = job
        self.display.started(job)

    @override
    def progressed(self, progress: dict[str, dict[str, Any]]) -> None:
        self.display.progressed(progress)
        if self.mirror:
            for identity, row in progress.items():
                self.mirror.follow(self._running[identity], row)

    @override
    def warned(self, text: str) -> None:
        self.display.warned(text)

    @override
    def ended(self, record: Record) -> None:
        self.records.append(record)
        self.display.ended(record)
        if self.mirror:
            self.mirror.add(record)
