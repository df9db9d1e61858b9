"""`manifest.json`: every job that was planned in a folder. It is written before the first job starts.

Workers read their job from it. A new plan adds its jobs, so a command with fewer rules or other settings hides nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError
from grape_bench.record.collection import paused_collection
from grape_bench.record.content import parse_object
from grape_bench.record.damage import checked
from grape_bench.record.environment import Git
from grape_bench.record.job import Job
from grape_bench.record.limits import check_job, check_name
from grape_bench.record.regular_file import MOST_JOBS, Largest, read_text
from grape_bench.record.typed_json import ShapeError, decode, encode
from grape_bench.record.write import dumps, replacing

SCHEMA = 1
MANIFEST, SUITE = "manifest.json", "suite.toml"
MOST_VALUES = 5_000_000  # about a hundred for each job
HINT = "`grape-bench run` with the same suite, which rewrites it; no record is lost"


WITHOUT_TUNING = "untuned"
"""The override that stands for `--untuned`, if there were tuned settings."""


def options(overrides: Iterable[str]) -> str:
    """The overrides as typed on the command line: `--set task.epochs=1 --untuned`."""
    return " ".join("--untuned" if one == WITHOUT_TUNING else f"--set {one}" for one in overrides)


@dataclass(frozen=True)
class Planned:
    """When a job was last planned, counted in commands, and the overrides (`--set`, `--untuned`) that it needed."""

    order: int = 0
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A job with the id and folder name that the writing version of grape-bench gave it."""

    id: str
    name: str
    job: Job
    order: int = 0
    overrides: list[str] = field(default_factory=list)


def new_sweep() -> str:
    """A name for a sweep in MLflow."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Manifest:
    """The jobs of one output folder, and when each was planned.

    `sweep` is the folder's name in MLflow, and `git` is the commit of the scheduler.
    """

    suite: str
    version: str
    git: Git
    jobs: list[Job]
    sweep: str = field(default_factory=new_sweep)
    planned: Mapping[str, Planned] = field(default_factory=dict)  # by job id

    def when(self, identity: str) -> Planned:
        """When the job with the id `identity` was planned."""
        return self.planned.get(identity, Planned())

    def joined(self, jobs: Sequence[Job], overrides: Sequence[str] = ()) -> Manifest:
        """This manifest with the `jobs` of a new plan.

        A job that needed no `--set` before needs none now. It may need `--untuned` now, if the suite was tuned since.
        """
        order = 1 + max((one.order for one in self.planned.values()), default=0)
        own = {job.id for job in self.jobs if not self.when(job.id).overrides}
        untuned = tuple(one for one in overrides if one == WITHOUT_TUNING)
        new = {job.id: Planned(order, untuned if job.id in own else tuple(overrides)) for job in jobs}
        kept = [job for job in self.jobs if job.id not in new]
        return replace(self, jobs=[*jobs, *kept], planned={**self.planned, **new})

    def write(self, folder: Path, *, durable: bool = True) -> Path:
        """Write the manifest into `folder`, with a line per job, and return its path. Raises OSError.

        `durable` flushes it to disk.
        """
        head = {"schema": SCHEMA, "suite": self.suite, "version": self.version, "sweep": self.sweep}
        start = dumps({**head, "git": encode(self.git)}).removesuffix("\n}")
        jobs = ({"id": job.id, "name": job.name, "job": job.to_dict(), **self._when(job.id)} for job in self.jobs)
        lines = ",\n".join(f"  {dumps(job, None)}" for job in jobs)
        path = folder / MANIFEST
        with replacing(path, durable=durable) as draft:
            draft.write_text(f'{start},\n "jobs": [\n{lines}\n ]\n}}\n', encoding="utf-8", newline="\n")
        return path

    def _when(self, identity: str) -> dict[str, Any]:
        when = self.planned.get(identity)
        return {"order": when.order, "overrides": list(when.overrides)} if when else {}

    def job(self, identity: str) -> Job:
        """The job with the id `identity`. Raises UserError if there is none."""
        for job in self.jobs:
            if job.id == identity:
                return job
        raise UserError(f"no job {identity!r} in this manifest", where=f"{self.suite}@{self.version}")


@dataclass(frozen=True)
class _Content:
    schema: int
    suite: str
    version: str
    sweep: str
    git: Git
    jobs: list[Entry]


def read_manifest(path: Path) -> Manifest:
    """The manifest in the file `path`. Raises DamagedError for bad content and UserError for a missing file."""
    return read_entries(path)[0]


def read_entries(path: Path) -> tuple[Manifest, list[Entry]]:
    """The manifest in the file `path`, and its entries. Raises the same errors as `read_manifest`."""
    with paused_collection():
        content = _read(path)
    jobs = [entry.job for entry in content.jobs]
    planned = {entry.id: Planned(entry.order, tuple(entry.overrides)) for entry in content.jobs if entry.order}
    return Manifest(content.suite, content.version, content.git, jobs, content.sweep, planned), content.jobs


def _read(path: Path) -> _Content:
    try:
        with checked(path, HINT):
            return _parse(parse_object(read_text(path, Largest.MANIFEST), MOST_VALUES))
    except FileNotFoundError as error:
        hint = "a folder such as runs/SUITE"
        what = "no runs in this folder: the file is missing" if path.parent.is_dir() else "no such folder"
        raise UserError(what, where=str(path), hint=hint) from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from error


def _parse(value: dict[str, Any]) -> _Content:
    content = decode(_Content, value)
    if content.schema != SCHEMA:
        raise ShapeError(f"schema {content.schema} is unknown to this version, which reads {SCHEMA}")
    if len(content.jobs) > MOST_JOBS:
        raise ShapeError(f"{len(content.jobs)} jobs, over the limit of {MOST_JOBS}")
    for entry in content.jobs:
        check_job(entry.job)
        check_name("name", entry.name)
    return content
