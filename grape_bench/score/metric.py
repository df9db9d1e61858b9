"""The metrics that score a task, each with a scale on which more is better and differences add up."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric: what it is called, which direction is better, and its scale.

    `meaning` is one sentence for the docs. `caption` is the sentence below a table, and says what follows the ±.
    `score` takes a measured value to the scale of all formulas; `value` takes it back. `validation` reads the metric
    from the rows of a curve.csv.
    """

    name: str
    unit: str
    higher_is_better: bool
    meaning: str
    caption: str
    score: Callable[[float], float]
    value: Callable[[float], float]
    validation: Callable[[pd.DataFrame], pd.Series]

    @property
    def label(self) -> str:
        """The label of an axis: "accuracy (%)"."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def sign(self) -> int:
        """1 if a higher value is better, else -1."""
        return 1 if self.higher_is_better else -1

    def half_width(self, score: float, half_width: float) -> float:
        """The longer side of the interval score ± half_width, as a length on the scale of values."""
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


DEFAULT = Metric(
    name="accuracy",
    unit="%",
    higher_is_better=True,
    meaning="Test accuracy in percent, mean over seeds.",
    caption="Test accuracy in percent: mean ± 95 % Student-t interval over n seeds.",
    score=_same,
    value=_same,
    validation=_validation_accuracy,
)
"""The metric of a task without any result."""

PERPLEXITY = Metric(
    name="perplexity",
    unit="",
    higher_is_better=False,
    meaning="Test perplexity: the exponential of the loss, averaged over seeds.",
    caption="Perplexity: the exponential of the mean log-loss ± the longer side of its 95 % interval.",
    # A perplexity is the exponential of a mean loss: minus its logarithm is what adds up over tokens and seeds.
    score=_minus_log,
    value=_perplexity,
    validation=_validation_perplexity,
)

METRICS = {metric.name: metric for metric in (DEFAULT, PERPLEXITY)}
