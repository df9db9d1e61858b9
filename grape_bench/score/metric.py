"""The quantities that a task can be scored by, each on a scale where more is better and differences have a meaning."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Metric:
    """`score` takes a measured value to the scale of all formulas, `value` takes it back.

    `validation` reads the same quantity from the rows of a curve.csv.
    """

    name: str
    unit: str
    score: Callable[[float], float]
    value: Callable[[float], float]
    validation: Callable[[pd.DataFrame], pd.Series]

    @property
    def label(self) -> str:
        """For the axis of a picture: "accuracy (%)"."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def half_width(self, score: float, half_width: float) -> float:
        """Of an interval around `score`, as a length on the scale of values: its longer side."""
        ends = (self.value(score - half_width), self.value(score + half_width))
        return max(abs(end - self.value(score)) for end in ends)


def _same(value: float) -> float:
    return value


def _minus_log(value: float) -> float:
    return -math.log(value)


def _perplexity(score: float) -> float:
    return math.exp(-score)


def _validation_accuracy(curve: pd.DataFrame) -> pd.Series:
    return curve["validation_accuracy"].astype(float)


def _validation_perplexity(curve: pd.DataFrame) -> pd.Series:
    return curve["validation_loss"].astype(float).map(math.exp)


METRICS = {
    "accuracy": Metric("accuracy", "%", _same, _same, _validation_accuracy),
    # A perplexity is the exponential of a mean loss: minus its logarithm is what adds up over tokens and seeds.
    "perplexity": Metric("perplexity", "", _minus_log, _perplexity, _validation_perplexity),
}
