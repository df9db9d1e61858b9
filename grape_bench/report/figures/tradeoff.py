"""The test result against the cost of a training step, with the staircase of what more cost is shown to buy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from grape_bench.report.figures import look
from grape_bench.report.figures.look import SOFT
from grape_bench.report.figures.naming import Point, name_points
from grape_bench.report.palette import styles
from grape_bench.score import columns
from grape_bench.score.quantity import Column
from grape_bench.score.results import Results
from grape_bench.score.verdict import TRAINED

ABOUT = (
    "Test score against the cost of a step. The line rises at a rule whose 95 % interval lies above that of every"
    " cheaper rule. An open marker: not shown to be trained"
)
MOST_TASKS = 12
"""The most rows of panels."""
NEAR = 10
"""The largest distance, in points, of a name from its point if a legend lists all names anyway."""


def available(results: Results) -> list[Column]:
    """The costs that were measured: columns relative to BP with the label of an axis."""
    costs = [column for column in columns.COLUMNS if column.bp_is_1 and column.axis]
    return [column for column in costs if column.name in results.table]


def shown(results: Results) -> list[str]:
    """The tasks that are drawn: the first ones."""
    return results.tasks[:MOST_TASKS]


def draw(results: Results, path: Path, width: float = look.WIDTH) -> None:
    """Draw one row per task that is `shown` and one column per cost: each rule's mean with its 95 % interval."""
    look.render(lambda: _figure(results, width), path, width)


def _figure(results: Results, width: float) -> Figure:
    figure, left = _drawn(results, width, legend=False)
    return _drawn(results, width, legend=True)[0] if left else figure


def _drawn(results: Results, width: float, *, legend: bool) -> tuple[Figure, list[str]]:
    """The figure, and the names for which it has no room."""
    costs, tasks = available(results), shown(results)
    rules = [rule for rule in results.rules if any(rule in set(_points(results, t, costs[0])["rule"]) for t in tasks)]
    ncols = max(1, int(width / look.inches(10)))
    heights = [look.inches(max(16, min(24, 10 + len(_points(results, task, costs[0]))))) for task in tasks]
    below = look.inches(math.ceil(len(rules) / ncols) + 1) if legend else 0.0
    figure = look.canvas(width, sum(heights) + below)
    axes = figure.subplots(len(tasks), len(costs), squeeze=False, sharey="row", height_ratios=heights)
    for task, row in zip(tasks, axes, strict=True):
        for panel, cost in zip(row, costs, strict=True):
            _draw_panel(panel, results, task, cost)
        look.heading(row[0], look.plain(task))
        row[0].set_ylabel(f"test {results.metric(task).label}")
    if legend:
        _draw_legend(figure, results, rules, ncols)
    figure.draw_without_rendering()  # names need the final layout
    left, names = [], look.names(results.names)
    for task, row in zip(tasks, axes, strict=True):
        for panel, cost in zip(row, costs, strict=True):
            table = _points(results, task, cost)
            points = list(zip(table[cost.name], table["value"], strict=True))
            left += name_points(panel, points, [names[rule] for rule in table["rule"]], NEAR if legend else math.inf)
    return figure, left


def _points(results: Results, task: str, cost: Column) -> pd.DataFrame:
    """The rows of the table with a score and this cost."""
    table = results.table
    return table[table["task"] == task].dropna(subset=[cost.name, "value"])


def _draw_panel(axes: Axes, results: Results, task: str, cost: Column) -> None:
    metric, style, table = results.metric(task), styles(results.rules), _points(results, task, cost)
    better = metric.sign
    ranked = table[table["rule"].isin(results.ranked)]
    stairs = staircase(zip(ranked[cost.name], better * ranked["value"], ranked["value_ci"], strict=True))
    if len(stairs) > 1:
        xs, ys = zip(*[*stairs, (float(table[cost.name].max()), stairs[-1][1])], strict=True)
        axes.plot(xs, [better * y for y in ys], color=SOFT, linewidth=1, drawstyle="steps-post", zorder=1)
    for row in table.to_dict("records"):
        color, _, marker = style[row["rule"]]
        axes.errorbar(
            row[cost.name],
            row["value"],
            yerr=None if pd.isna(row["value_ci"]) else row["value_ci"],
            fmt=marker,
            color=color,
            markerfacecolor=color if row.get("verdict", TRAINED) in (TRAINED, "") else "white",
            markersize=6,
            elinewidth=1.4,
        )
    axes.axvline(1, color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    axes.set_xlabel(cost.axis)
    axes.margins(x=0.15, y=0.14)
    _scale(axes, [*table[cost.name], 1.0])
    look.grid(axes)


def _scale(axes: Axes, ratios: Sequence[float]) -> None:
    """A logarithmic axis if the costs differ by more than a factor of four, since they are ratios."""
    low, high = min(ratios), max(ratios)
    if high <= 4 * low:
        axes.xaxis.set_major_locator(MaxNLocator(5))
        return
    axes.set_xscale("log")
    powers = range(math.floor(math.log2(low)), math.ceil(math.log2(high)) + 1)
    axes.xaxis.set_major_locator(FixedLocator([2.0**power for power in powers[:: max(1, len(powers) // 5)]]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")


def _draw_legend(figure: Figure, results: Results, rules: Sequence[str], ncols: int) -> None:
    style, names = styles(results.rules), look.names(results.names)
    every = [style[rule] for rule in rules]
    handles = [Line2D([], [], color=one.color, marker=one.marker, linestyle="None", markersize=6) for one in every]
    figure.legend(handles, [names[rule] for rule in rules], loc="outside lower left", ncols=ncols, frameon=False)


def staircase(points: Iterable[tuple[float, float, float]]) -> list[Point]:
    """The scores that more cost is shown to buy, as (cost, score) by ascending cost, from (cost, score, half-width).

    A point is a stair if its interval lies above the interval of every cheaper point. A higher mean alone could be
    noise. A point without an interval (one seed) is a stair only if it is the cheapest, and ends the staircase.
    """
    stairs: list[Point] = []
    highest = -math.inf  # the upper end of all intervals so far
    for cost, score, half in sorted(points, key=lambda point: (point[0], -point[1])):
        reach = math.inf if math.isnan(half) else half
        if not stairs or score - reach > highest:
            stairs.append((cost, score))
        highest = max(highest, score + reach)
    return stairs
