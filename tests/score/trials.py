"""Tuning trials: records written by the program, with the jobs of trials and other numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from grape_bench.record.job import Job
from grape_bench.record.record import Record
from tests.score.records import make, with_parts


def records_of(jobs: Sequence[Job], *, best: int, diverged: int | None = None) -> list[Record]:
    """One record per job. Trial number `best` has a validation accuracy of 90 %, the others 50 % or less."""
    return [_record(job, 90.0 if job.trial == best else 50.0 - (job.trial or 0), job.trial == diverged) for job in jobs]


def _record(job: Job, validation: float, diverged: bool) -> Record:
    record = replace(make("dfa"), job=job, id=job.id, name=job.name)
    if diverged:
        return with_parts(record, status="diverged", result=None)
    loss = 1 - validation / 100
    return with_parts(record, result={"validation": validation, "validation_loss": loss, "test": None})
