"""`manifest.json`: every job of a sweep, written before the first one starts; what a worker is given."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError
from grape_bench.plan.job import Job
from grape_bench.track.files import write_json
from grape_bench.track.record import MANIFEST

SCHEMA = 1


@dataclass(frozen=True)
class Manifest:
    """The jobs of one output folder; `sweep` names it in the mirror, `git` is the scheduler's source."""

    suite: str
    version: str
    git: dict[str, Any]
    jobs: list[Job]
    sweep: str = field(default_factory=lambda: uuid.uuid4().hex)

    def write(self, folder: Path) -> Path:
        """Write it into `folder`; the file."""
        jobs = [{"id": job.id, "name": job.name, "job": job.to_dict()} for job in self.jobs]
        head = {"schema": SCHEMA, "suite": self.suite, "version": self.version, "sweep": self.sweep}
        path = folder / MANIFEST
        write_json(path, {**head, "git": self.git, "jobs": jobs})
        return path

    def job(self, identity: str) -> Job:
        """The job with that id; raises UserError where there is none."""
        for job in self.jobs:
            if job.id == identity:
                return job
        raise UserError(f"no job {identity!r} in this manifest", where=f"{self.suite}@{self.version}")


def read_manifest(path: Path) -> Manifest:
    """The manifest in the file `path`; raises UserError where it is not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        jobs = [Job.from_dict(entry["job"]) for entry in content["jobs"]]
        return Manifest(content["suite"], content["version"], content["git"], jobs, content["sweep"])
    except FileNotFoundError as error:
        raise UserError(
            "no runs here: there is no such file", where=str(path), hint="a folder such as runs/SUITE"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"not a manifest: {error}", where=str(path)) from error
