"""No two runs are copies of each other."""

from __future__ import annotations

import math
from collections.abc import Iterator

from grape_bench.publish.submission import Submission
from grape_bench.record.table import Table

CLOSE = 1e-6
"""Two curves are equal if all numbers differ by less than this, relative to their size.

Another seed or rule changes every number of a curve by far more. Copies with larger changes are not found.
"""

NEIGHBORS = 8
"""How many of the following curves, in sorted order, each curve is compared with."""

TIMES = ("seconds", "epoch", "step", "samples")
"""Columns that two different runs may share, or that a copy may change."""


def problems(submission: Submission) -> Iterator[str]:
    """Find equal curves and equal training times. Seeds give other weights and batches, so no two runs are equal."""
    curves: dict[str, list[tuple[tuple[float, ...], str]]] = {}
    times: dict[float, str] = {}
    for name, record in submission.records.items():
        values = _values(submission.curves.get(name))
        if values:
            curves.setdefault(record.task, []).append((values, name))
        seconds = record.time.train_s if record.time else 0.0
        twin = times.setdefault(seconds, name)
        if seconds > 0 and twin != name:
            yield f"{name}: its training took as long as that of {twin} to the last digit ({seconds} s)"
    for of_task in curves.values():
        of_task.sort()
        for index, (values, name) in enumerate(of_task):
            for other, twin in of_task[index + 1 : index + 1 + NEIGHBORS]:
                if not math.isclose(values[0], other[0], rel_tol=CLOSE):
                    break
                if _equal(values, other):
                    yield f"{name}: its curve is that of {twin}"


def _values(curve: Table | None) -> tuple[float, ...]:
    """The losses and scores of a curve, row by row; empty if there are none."""
    try:
        rows = curve.rows if curve else []
        return tuple(float(text or "nan") for row in rows for name, text in row.items() if name not in TIMES)
    except ValueError:
        return ()  # the check `curves` says so


def _equal(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return len(one) == len(other) and all(map(_close, one, other))


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=CLOSE) or (math.isnan(one) and math.isnan(other))
