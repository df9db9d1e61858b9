"""A running job's folder: the files that only the harness may write, and their repair if the job damages them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from grape_bench.record.content import parse_object
from grape_bench.record.environment import Git
from grape_bench.record.job import Job
from grape_bench.record.manifest import MANIFEST, Manifest
from grape_bench.record.record import RECORD, STDERR, Record, write_record
from grape_bench.record.table import CURVE, DIAGNOSTICS, append_row
from grape_bench.record.typed_json import ShapeError
from grape_bench.record.write import write_json
from grape_bench.train.checkpoint_files import CheckpointFolder

PROGRESS = "progress.json"
_PROGRESS_BYTES = 1 << 16
_DRAFTS = tuple(f".{name}" for name in (PROGRESS, RECORD, MANIFEST, "output"))


class JobFolder:
    """Writes the rows of one job's curve, and detects if the job itself writes to these files."""

    def __init__(self, folder: Path, job: Job) -> None:
        self.folder = folder
        self._budget = {"steps": job.steps} if job.steps else {"epochs": job.epochs}
        self._known: dict[str, bytes | None] = dict.fromkeys((RECORD, CURVE, PROGRESS))

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a row to curve.csv and show it in progress.json. Raises ShapeError, as `check` does, and OSError."""
        self.check()
        append_row(self.folder / CURVE, row)
        # Not synced to disk, unlike a record: this file is read only while the job runs.
        write_json(self.folder / PROGRESS, {**row, **self._budget}, durable=False)
        self._known |= {name: (self.folder / name).read_bytes() for name in (CURVE, PROGRESS)}

    def check(self) -> None:
        """Raise ShapeError if something else wrote to a file since the last row, or changed the folder."""
        try:
            mode = self.folder.lstat().st_mode
        except OSError as error:
            raise ShapeError(f"something else has taken this job's folder away: {error.strerror}") from error
        if not stat.S_ISDIR(mode) or mode & stat.S_IRWXU != stat.S_IRWXU:
            raise ShapeError("something else has changed this job's folder: it is a link, or read-only")
        for name, known in self._known.items():
            if _content(self.folder / name, 1 + len(known or b"")) != known:
                raise ShapeError(f"something else wrote to {name} of this job")


def _content(path: Path, size: int) -> bytes | None:
    """The first `size` bytes of a file; None if nothing is at `path`. Raises ShapeError if it is no file."""
    try:
        return _read(path, size)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ShapeError(f"something else wrote to {path.name} of this job") from error


def write_job_manifest(job: Job, folder: Path, git: Git) -> Path:
    """Write a manifest of this one `job` into its folder below the suite's `folder`, for the worker. Raises OSError.

    Reading the manifest of the whole suite would take each worker longer than a small job does.
    """
    repair(folder / job.name)
    return Manifest(job.suite, job.version, git, [job]).write(folder / job.name, durable=False)


def prepare(folder: Path) -> None:
    """Make the job's folder, or delete the results of an earlier attempt from it. Raises OSError."""
    repair(folder)
    for name in (RECORD, CURVE, DIAGNOSTICS, PROGRESS):
        remove(folder / name)


def finish(folder: Path, record: Record) -> None:
    """Write the record of a job that has ended, even if the job damaged its folder. Raises OSError."""
    repair(folder)
    for name in (RECORD, PROGRESS):
        remove(folder / name)
    write_record(folder, record)
    remove(folder / MANIFEST)


def tidy(folder: Path) -> None:
    """Delete the checkpoints and progress of a job that is done, and unfinished files of killed processes."""
    names = [path.name for path in folder.iterdir()]
    if {*names} <= {RECORD, CURVE, DIAGNOSTICS, STDERR}:
        return  # the usual case takes one directory listing
    CheckpointFolder(folder).clear()
    for name in names:
        if name in (PROGRESS, MANIFEST) or (name.startswith(".") and name.endswith(_DRAFTS)):
            remove(folder / name)


def repair(folder: Path) -> None:
    """Make `folder` a folder that this user may write to. Removes a link or a file of this name. Raises OSError."""
    if folder.is_symlink() or not folder.is_dir():
        remove(folder)
        folder.mkdir(parents=True)
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & stat.S_IRWXU != stat.S_IRWXU:
        folder.chmod(mode | stat.S_IRWXU)


def remove(path: Path) -> None:
    """Remove a file, link or folder, if there is one. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def read_progress(jobs: Iterable[Job], folder: Path) -> dict[str, dict[str, Any]]:
    """Return the latest row of each job, by job id. Jobs in their first epoch have none."""
    found = {}
    for job in jobs:
        with suppress(OSError, ValueError, RecursionError):  # the job may have damaged the file
            content = parse_object(_read(folder / job.name / PROGRESS, _PROGRESS_BYTES).decode())
            row = {name: value for name, value in content.items() if type(value) in (int, float) and abs(value) < 1e18}
            unit = "step" if job.steps else "epoch"
            if row.get(f"{unit}s") and unit in row:
                found[job.id] = row
    return found


def _read(path: Path, size: int) -> bytes:
    """The first `size` bytes of a regular file. Never blocks, not even on a FIFO. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a file")
        return file.read(size)
