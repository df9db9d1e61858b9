"""How far the running jobs are, from the files that they leave for whoever looks."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from grape_bench.execute.worker import PROGRESS
from grape_bench.record.damage import parse_object
from grape_bench.record.job import Job


def read_progress(jobs: Iterable[Job], folder: Path) -> dict[str, dict[str, Any]]:
    """The last epoch of each job, by job id; none of those that are still in their first."""
    found = {}
    for job in jobs:
        try:
            text = (folder / job.name / PROGRESS).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        with suppress(ValueError):  # a job may have written anything there
            found[job.id] = parse_object(text)
    return found
