"""The metrics that score a task, each with a scale on which more is better and differences add up."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grape_bench.objectives.names import METRIC_RANGES, metric_sign
from grape_bench.record.table import validation_column

if TYPE_CHECKING:
    import pandas as pd


MOST_NATS = 700.0  # the exponential of a little more overflows a float


def _same(value: float) -> float:
    return value


def _minus(value: float) -> float:
    return -value


def _minus_log(value: float) -> float:
    return -math.log(value)


def _perplexity(score: float) -> float:
    return math.inf if -score > MOST_NATS else math.exp(-score)


def _unknown(value: float, samples: int) -> float:
    return 0.0


def _of_a_share(value: float, samples: int) -> float:
    """The binomial standard error of a percentage."""
    return math.sqrt(max(0.0, value * (100 - value) / samples))


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric: what it is called, and its scale.

    `meaning` is one sentence for the docs. `caption` is the sentence below a table, and says what follows the ±.
    `score` converts a measured value to the scale of all formulas, which `scale` names, and `value` converts it back.
    `span` is the length of the usual range of values, or None for the value itself. `sampling_error` is the standard
    error of a score due to the test samples, given the value and their number. It is used for a record without its own
    `test_error`, and 0 if it is unknown. `narrow` is a short heading for a terminal.
    """

    name: str
    heading: str
    unit: str
    meaning: str
    caption: str
    score: Callable[[float], float] = _same
    value: Callable[[float], float] = _same
    scale: str = ""
    span: float | None = None
    narrow: str = ""
    format: str = "z.2f"
    sampling_error: Callable[[float, int], float] = _unknown

    @property
    def low(self) -> float:
        """The lowest possible value."""
        return METRIC_RANGES[self.name][0]

    @property
    def high(self) -> float:
        """The highest possible value."""
        return METRIC_RANGES[self.name][1]

    @property
    def label(self) -> str:
        """The label of an axis: "accuracy (%)"."""
        return f"{self.heading} ({self.unit})" if self.unit else self.heading

    @property
    def sign(self) -> int:
        """1 if a higher value is better, else -1."""
        return metric_sign(self.name)

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher value is better."""
        return self.sign > 0

    @property
    def logarithmic(self) -> bool:
        """Whether a plot shows it on a logarithmic axis, because ratios of its values add up."""
        return self.score is _minus_log

    @property
    def column(self) -> str:
        """The column of curve.csv that holds the metric on the validation split."""
        return validation_column(self.name)

    def half_width(self, score: float, half_width: float) -> float:
        """The longer side of the interval score ± half_width, as a length on the scale of values."""
        ends = (self.value(score - half_width), self.value(score + half_width))
        return max(abs(end - self.value(score)) for end in ends)

    def tolerance(self, points: float, value: float) -> float:
        """`points` percent of the span: points of an accuracy, and percent of a perplexity's value."""
        return points / 100 * (abs(value) if self.span is None else self.span)

    def validation(self, curve: pd.DataFrame) -> pd.Series:
        """The metric on the validation split, from the rows of a curve.csv."""
        if self.column not in curve and self.name == "perplexity":
            return curve["validation_loss"].astype(float).map(lambda loss: _perplexity(-loss))
        return curve[self.column].astype(float)

    def text(self, value: float) -> str:
        """A value in a sentence: "93.1 %" for an accuracy, else with the name, as in "perplexity 12.34"."""
        if self is DEFAULT:
            return f"{value:.1f} %"
        return f"{self.heading} {value:{self.format}}" + (f" {self.unit}" if self.unit else "")


DEFAULT = Metric(
    name="accuracy",
    heading="accuracy",
    unit="%",
    meaning="Test accuracy in percent, mean over seeds.",
    caption="Test accuracy in percent: mean ± 95 % Student-t interval over n seeds.",
    span=100,
    sampling_error=_of_a_share,
)
"""The metric of a task without any result."""

PERPLEXITY = Metric(
    name="perplexity",
    heading="perplexity",
    unit="",
    meaning="Test perplexity: the exponential of the loss, averaged over seeds.",
    caption="Perplexity, lower is better: the exponential of the mean log-loss ± the longer side of its 95 % interval.",
    # A perplexity is the exponential of a mean loss: minus its logarithm is what adds up over tokens and seeds.
    score=_minus_log,
    value=_perplexity,
    scale="minus its logarithm",
)


def _caption(said: str, *, lower: bool = False) -> str:
    return f"Test {said}{', lower is better' if lower else ''}: mean ± 95 % Student-t interval over n seeds."


METRICS = {
    metric.name: metric
    for metric in (
        DEFAULT,
        PERPLEXITY,
        Metric(
            name="bits_per_character",
            heading="bits per character",
            narrow="bits/char",
            unit="",
            meaning="Test loss per character in bits, mean over seeds.",
            caption=_caption("loss in bits per character", lower=True),
            score=_minus,
            value=_minus,
            scale="minus its value",
            format="z.3f",
        ),
        Metric(
            name="rmse",
            heading="RMSE",
            unit="",
            meaning="Root of the mean squared test error in the units of the data, mean over seeds.",
            caption=_caption("RMSE", lower=True),
            score=_minus,
            value=_minus,
            scale="minus its value",
            format="z.3f",
        ),
        Metric(
            name="r2",
            heading="R²",
            unit="",
            meaning="Share of the variance of the test targets that is explained, mean over seeds.",
            caption=_caption("R²"),
            span=1,
            format="z.3f",
        ),
        Metric(
            name="psnr",
            heading="PSNR",
            unit="dB",
            meaning="Peak signal-to-noise ratio in decibels, mean over seeds.",
            caption=_caption("PSNR in decibels"),
        ),
        Metric(
            name="roc_auc",
            heading="ROC-AUC",
            unit="%",
            meaning="Area under the ROC curve of the test samples in percent, mean over seeds.",
            caption=_caption("ROC-AUC in percent"),
            span=100,
        ),
        Metric(
            name="average_precision",
            heading="average precision",
            narrow="avg. prec.",
            unit="%",
            meaning="Average precision on the test samples in percent, mean over labels and seeds.",
            caption=_caption("average precision in percent"),
            span=100,
        ),
        Metric(
            name="mean_iou",
            heading="mean IoU",
            unit="%",
            meaning="Intersection over union of the test pixels in percent, mean over classes and seeds.",
            caption=_caption("mean IoU in percent"),
            span=100,
        ),
    )
}
"""The metrics by name, as records hold it. `METRIC_UNITS` of the objectives has the same names."""


def metric_of_row(row: dict[str, object]) -> Metric | None:
    """The metric of a row of curve.csv, or None."""
    return next((metric for metric in METRICS.values() if metric.column in row), None)
