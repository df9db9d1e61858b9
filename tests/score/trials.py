"""Trials of a search: records that the program wrote, with the trials' jobs and other numbers in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from grape_bench.record.job import Job
from grape_bench.record.record import Record
from tests.score.records import make, with_parts


def records_of(jobs: Sequence[Job], *, best: int, diverged: int | None = None) -> list[Record]:
    """A record for each of `jobs`: trial number `best` has 90 % on validation, the others 50 % and less."""
    return [_record(job, 90.0 if job.trial == best else 50.0 - (job.trial or 0), job.trial == diverged) for job in jobs]


def _record(job: Job, validation: float, diverged: bool) -> Record:
    record = replace(make("dfa"), job=job, id=job.id, name=job.name)
    if diverged:
        return with_parts(record, status="diverged", result=None)
    loss = 1 - validation / 100
    return with_parts(record, result={"validation": validation, "validation_loss": loss, "test": None})
