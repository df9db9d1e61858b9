"""Trials of a search, in the form in which their jobs leave them on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grape_bench.plan.job import Job
from grape_bench.track.record import make_record


def records_of(jobs: Sequence[Job], *, best: int, diverged: int | None = None) -> list[dict[str, Any]]:
    """A record for each of `jobs`: trial number `best` has 90 % on validation, the others 50 % and less."""
    return [_record(job, 90.0 if job.trial == best else 50.0 - (job.trial or 0), job.trial == diverged) for job in jobs]


def _record(job: Job, validation: float, diverged: bool) -> dict[str, Any]:
    result = {"validation": validation, "validation_loss": 1 - validation / 100, "train_loss": 0.1}
    return make_record(
        job.to_dict(),
        identity=(job.id, job.name),
        outcome={
            "status": "diverged" if diverged else "finished",
            "metric": {"name": "accuracy", "unit": "percent", "chance": 10.0},
            "result": None if diverged else result,
        },
        environment={
            "git": {"commit": "0f", "dirty": False},
            "hardware": {"class": "cpu-x"},
            "packages": {"torch": "2"},
        },
        started="2026-01-01T00:00:00.000+00:00",
    )
