"""Every result is where its learning curve ended."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from grape_bench.publish.submission import Rows, Submission

# What a record says of its last epoch, and the column that says it too.
SAME = {"validation": "validation_accuracy", "train_loss": "train_loss"}


def problems(submission: Submission) -> Iterator[str]:
    """One row per epoch of the budget, samples and seconds that only grow, and the record's numbers in the last."""
    for name, record in submission.readable.items():
        if record.get("status") != "finished":
            continue
        rows = submission.curves.get(name)
        if not rows:
            yield f"{name}: no curve.csv"
            continue
        try:
            yield from (f"{name}: {problem}" for problem in _flaws(record, rows))
        except (KeyError, TypeError, ValueError) as error:
            yield f"{name}: curve.csv cannot be read: {error!r}"


def _flaws(record: dict[str, Any], rows: Rows) -> Iterator[str]:
    epochs = [int(float(row["epoch"])) for row in rows]
    if epochs != list(range(1, record["job"]["epochs"] + 1)):
        yield f"curve.csv has the epochs {epochs[0]} to {epochs[-1]}, the budget is {record['job']['epochs']}"
    for column in ("samples", "seconds"):
        values = [float(row[column]) for row in rows]
        if any(later <= earlier for earlier, later in pairwise(values)):
            yield f"{column} in curve.csv do not grow"
    last, time = rows[-1], record.get("time") or {}
    if time.get("samples") != int(float(last["samples"])):
        yield f"time.samples = {time.get('samples')}, in curve.csv {last['samples']}"
    for key, column in SAME.items():
        said = record["result"].get(key)
        if column in last and (said is None or not math.isclose(said, float(last[column]), rel_tol=1e-9)):
            yield f"result.{key} = {said}, at the end of curve.csv {last[column]}"
