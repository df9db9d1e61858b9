"""How far the running jobs are, from the files that they leave for whoever looks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from grape_bench.execute.worker import PROGRESS
from grape_bench.plan.job import Job


def read_progress(jobs: Iterable[Job], folder: Path) -> dict[str, dict[str, Any]]:
    """The last epoch of each job, by job id; none of those that are still in their first."""
    found = {}
    for job in jobs:
        try:
            text = (folder / job.name / PROGRESS).read_text(encoding="utf-8")
        except FileNotFoundError:
            continue
        found[job.id] = json.loads(text)
    return found
