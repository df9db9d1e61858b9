"""`manifest.json`: the jobs of a sweep. It is written before the first job starts, and workers read it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError
from grape_bench.record.damage import checked, parse_object, read_text
from grape_bench.record.job import Job
from grape_bench.record.parts import Git
from grape_bench.record.typed_json import ShapeError, decode, encode
from grape_bench.record.write import write_json

SCHEMA = 1
MANIFEST = "manifest.json"
HINT = "`grape-bench run` with the same suite, which rewrites it; no record is lost"


@dataclass(frozen=True)
class Entry:
    """A job with the id and folder name that the writing version of grape-bench gave it."""

    id: str
    name: str
    job: Job


@dataclass(frozen=True)
class Manifest:
    """The jobs of one output folder. `sweep` is its name in MLflow, and `git` is the commit of the scheduler."""

    suite: str
    version: str
    git: Git
    jobs: list[Job]
    sweep: str = field(default_factory=lambda: uuid.uuid4().hex)

    def write(self, folder: Path) -> Path:
        """Write the manifest into `folder` and return its path. Raises OSError."""
        head = {"schema": SCHEMA, "suite": self.suite, "version": self.version, "sweep": self.sweep}
        jobs = [{"id": job.id, "name": job.name, "job": job.to_dict()} for job in self.jobs]
        path = folder / MANIFEST
        write_json(path, {**head, "git": encode(self.git), "jobs": jobs})
        return path

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
    content = _read(path)
    jobs = [entry.job for entry in content.jobs]
    return Manifest(content.suite, content.version, content.git, jobs, content.sweep)


def read_entries(path: Path) -> list[Entry]:
    """The entries of the manifest in the file `path`. Raises the same errors as `read_manifest`."""
    return _read(path).jobs


def _read(path: Path) -> _Content:
    try:
        with checked(path, HINT):
            return _parse(parse_object(read_text(path)))
    except FileNotFoundError as error:
        hint = "a folder such as runs/SUITE"
        raise UserError("no runs in this folder: the file is missing", where=str(path), hint=hint) from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from error


def _parse(value: dict[str, Any]) -> _Content:
    content = decode(_Content, value)
    if content.schema != SCHEMA:
        raise ShapeError(f"schema {content.schema} is unknown to this version, which reads {SCHEMA}")
    return content
