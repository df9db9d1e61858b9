"""Tuned settings at the edge of their search range: a better value may lie beyond it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grape_bench.plan.suite import Axis

Space = Mapping[str, Mapping[str, Any]]
"""A search space as JSON types: `{"lr": {"log": [0.0001, 0.1]}}`."""


@dataclass(frozen=True)
class Edge:
    """A chosen `value` near the `upper` or the lower end of a setting's range."""

    setting: str
    value: float
    upper: bool
    axis: Axis

    @property
    def text(self) -> str:
        """The setting and its range: `lr 0.0899 (range 0.0001 to 0.1)`."""
        low, high = self.axis.log or self.axis.linear or []
        return f"{self.setting} {self.value:g} (range {low:g} to {high:g})"

    @property
    def wider(self) -> str:
        """A wider range in a suite's syntax: a factor of 10 wider on a log axis, half as wide again on a linear one."""
        low, high = self.axis.log or self.axis.linear or []
        more = 10.0 if self.axis.log else (high - low) / 2
        if self.axis.log:
            low, high = (low, high * more) if self.upper else (low / more, high)
        else:
            low, high = (low, high + more) if self.upper else (low - more, high)
        kind = "log" if self.axis.log else "linear"
        return f"{self.setting} = {{ {kind} = [{low:g}, {high:g}] }}"


def edges(space: Space, settings: Mapping[str, Any], trials: int) -> list[Edge]:
    """The settings that lie in the first or last 1 / `trials` of their range, where a search tries about one point.

    A list of choices has no edge.
    """
    found = []
    for name, given in space.items():
        axis, value = Axis.model_validate(dict(given)), settings.get(name)
        if axis.choice is None and isinstance(value, int | float) and trials > 1:
            place = _place(axis, value)
            if not 1 / trials < place < 1 - 1 / trials:
                found.append(Edge(name, value, place > 0.5, axis))
    return found


def _place(axis: Axis, value: float) -> float:
    """The position of `value` on the axis: 0 at the lower bound, 1 at the upper one."""
    if axis.log:
        low, high = axis.log
        return math.log(value / low) / math.log(high / low) if value > 0 else 0.0
    assert axis.linear is not None
    low, high = axis.linear
    return (value - low) / (high - low)
