"""Every result matches the end of its learning curve."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from grape_bench.publish.submission import Submission
from grape_bench.record.record import Record
from grape_bench.record.status import Status
from grape_bench.record.table import Table, check_curve, validation_column
from grape_bench.score.metric import METRICS


def problems(submission: Submission) -> Iterator[str]:
    """Check for one row per epoch, increasing samples and seconds, and the record's numbers in the last row."""
    for name, record in submission.records.items():
        if record.status is not Status.FINISHED:
            continue
        curve = submission.curves.get(name)
        if curve is None:
            yield f"{name}: curve.csv: {submission.damaged_curves.get(name, 'the file is missing')}"
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
            yield f"{column} in curve.csv do not increase"
    if record.time is None:
        yield "the job finished, but its time is missing"
    row, which = _tested_row(record, rows), "ends with" if record.job.select == "last" else "has at its best"
    # Values of the tested weights that the record and this column of the curve both hold.
    columns = {"validation": validation_column(record.scored_by.name)}
    columns |= {name: name for name in ("validation_loss", "train_loss")}
    for key, column in columns.items():
        value = getattr(record.result, key)
        if column in row and (value is None or not math.isclose(value, float(row[column]), rel_tol=1e-9)):
            yield f"result.{key} = {value}, but curve.csv {which} {row[column]}"


def _tested_row(record: Record, rows: list[dict[str, str]]) -> dict[str, str]:
    """The row of the weights that were tested: the last one, or the first of those with the best validation score."""
    column = validation_column(record.scored_by.name)
    if record.job.select == "last" or column not in rows[-1]:
        return rows[-1]
    return max(rows, key=lambda row: METRICS[record.scored_by.name].sign * float(row[column]))
