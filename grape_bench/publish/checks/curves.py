"""Every result is where its learning curve ended."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from grape_bench.publish.submission import Submission
from grape_bench.record.record import Record
from grape_bench.record.status import Status
from grape_bench.record.table import Table, check_curve

# What a record says of its last epoch, and the column that says it too.
SAME = {"validation": "validation_accuracy", "train_loss": "train_loss"}


def problems(submission: Submission) -> Iterator[str]:
    """One row per epoch of the budget, samples and seconds that only grow, and the record's numbers in the last."""
    for name, record in submission.records.items():
        if record.status is not Status.FINISHED:
            continue
        curve = submission.curves.get(name)
        if curve is None:
            yield f"{name}: curve.csv: {submission.damaged_curves.get(name, 'there is none')}"
            continue
        try:
            check_curve(curve, record)
            yield from (f"{name}: {problem}" for problem in _flaws(record, curve))
        except ValueError as error:
            yield f"{name}: curve.csv: {error}"


def _flaws(record: Record, curve: Table) -> Iterator[str]:
    rows = curve.rows
    for column in ("samples", "seconds"):
        values = [float(row[column]) for row in rows]
        if any(later <= earlier for earlier, later in pairwise(values)):
            yield f"{column} in curve.csv do not grow"
    if record.time is None:
        yield "time is missing, and the job finished"
    for key, column in SAME.items():
        said = getattr(record.result, key)
        if column in rows[-1] and (said is None or not math.isclose(said, float(rows[-1][column]), rel_tol=1e-9)):
            yield f"result.{key} = {said}, at the end of curve.csv {rows[-1][column]}"
