"""The columns of the metrics: two for each metric by name, and three that every task has."""

from __future__ import annotations

from grape_bench.score.metric import DEFAULT, METRICS, Metric
from grape_bench.score.quantity import Column, Kind, Shown


def _columns_of(metric: Metric) -> tuple[Column, Column]:
    return (
        Column(
            name=metric.name,
            heading=metric.heading,
            narrow=metric.narrow,
            format=metric.format,
            meaning=f"{metric.meaning} {'Higher' if metric.higher_is_better else 'Lower'} is better.",
            value=lambda row: row.mean(metric),
            kind=Kind.METRIC,
            shown=Shown.PRINT,
            unit=metric.unit,
            caption=metric.caption,
            reference="protocol.md#the-scores",
            optional=metric is not DEFAULT,
        ),
        Column(
            name=f"{metric.name}_ci",
            heading=f"{metric.heading} ±",
            meaning=f"Half-width of the 95 % Student-t interval of the {metric.heading} over seeds.",
            value=lambda row: row.half_width(metric),
            unit=metric.unit,
            reference="protocol.md#the-scores",
            optional=metric is not DEFAULT,
            beside=metric.name,
        ),
    )


METRIC_COLUMNS: tuple[Column, ...] = (
    *(column for metric in METRICS.values() for column in _columns_of(metric)),
    Column(
        name="metric",
        heading="metric",
        meaning="The name of the task's metric.",
        value=lambda row: row.cell.metric.name if row.cell.results else "",
        kind=Kind.TEXT,
        reference="protocol.md#the-scores",
        optional=False,
    ),
    Column(
        name="value",
        heading="value",
        meaning="The value of the task's metric, whichever it is.",
        value=lambda row: row.mean(row.cell.metric),
        reference="protocol.md#the-scores",
        optional=False,
    ),
    Column(
        name="value_ci",
        heading="value ±",
        meaning="Half-width of the 95 % Student-t interval of the value over seeds.",
        value=lambda row: row.half_width(row.cell.metric),
        reference="protocol.md#the-scores",
        optional=False,
    ),
)
"""`accuracy`, `accuracy_ci`, `perplexity`, ..., then `metric`, `value` and `value_ci`, which no row lacks."""
