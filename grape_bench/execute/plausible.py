"""Checks that a job reports possible scores and times. A rule's code shares a process with the metric and the clock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from grape_bench.objectives.names import METRIC_RANGES
from grape_bench.record.record import Outcome
from grape_bench.record.typed_json import ShapeError

_ROUNDING = 1e-6  # of sums over a split
_VALIDATION = "validation_"


def check_row(row: Mapping[str, Any]) -> None:
    """Raise ShapeError for a row of curve.csv that no training can produce."""
    for name, value in row.items():
        if type(value) not in (int, float):
            raise ShapeError(f"{name} is {type(value).__name__}, not a number")
        _check_metric(name, name.removeprefix(_VALIDATION), value)
    _check_seconds("seconds", row.get("seconds", 0.0))


def check_outcome(outcome: Outcome) -> None:
    """Raise ShapeError for scores outside the metric's range, and for negative times."""
    if outcome.metric:
        for part in ("result", "features"):
            scores = getattr(outcome, part)
            for name in ("test", "validation") if scores else ():
                _check_metric(f"{part}.{name}", outcome.metric.name, getattr(scores, name))
    for each in fields(outcome.time) if outcome.time else ():
        _check_seconds(f"time.{each.name}", getattr(outcome.time, each.name))


def _check_metric(name: str, metric: str, value: float | None) -> None:
    low, high = METRIC_RANGES.get(metric, (-math.inf, math.inf))
    if value is not None and math.isfinite(value) and not low - _ROUNDING <= value <= high + _ROUNDING:
        above = f"{low:g} to {high:g}" if math.isfinite(low + high) else f"{low:g} or more"
        allowed = above if math.isfinite(low) else f"{high:g} or less"
        raise ShapeError(f"{name} is {value:g}, and {metric} is {allowed}")


def _check_seconds(name: str, value: float | None) -> None:
    if value is not None and value < 0:
        raise ShapeError(f"{name} is {value:g}, so something has changed the clock")
