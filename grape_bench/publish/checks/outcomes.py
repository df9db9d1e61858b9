"""Every job has a result: it finished, or it diverged and its curve shows this."""

from __future__ import annotations

import math
from collections.abc import Iterator

from grape_bench.publish.submission import Submission
from grape_bench.record.record import Record
from grape_bench.record.status import Status
from grape_bench.record.table import Table

NOT_FINITE = "result."  # how the reason starts if the training ended but a score is not finite


def problems(submission: Submission) -> Iterator[str]:
    """Find jobs that failed, which drop their seed from the table, and jobs that only claim to have diverged."""
    for name, record in submission.records.items():
        if not record.status.is_result:
            yield f"{name}: {record.status}, which is no result: run the suite again"
        elif record.status is Status.FINISHED and record.reason:
            yield f"{name}: finished, but it has a reason for failing"
        elif record.status is Status.DIVERGED and _finite(record, submission.curves.get(name)):
            yield f"{name}: diverged, but its curve is complete and finite"
        elif record.status is Status.DIVERGED and record.result is not None:
            yield f"{name}: diverged, but it has a result"


def _finite(record: Record, curve: Table | None) -> bool:
    """Whether the curve reaches the end of the budget with finite numbers, and the reason is no test score."""
    job = record.job
    if curve is None or not curve.rows or record.reason.startswith(f"{NOT_FINITE}test"):
        return False
    last = curve.rows[-1]
    try:
        ends = float(last["step"]) == job.steps if job.steps else float(last["epoch"]) == job.epochs
        return ends and all(math.isfinite(float(value)) for value in last.values() if value)
    except (KeyError, ValueError):
        return False
