"""The test result against the cost of a training step, with the Pareto front."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grape_bench.report.figures import look
from grape_bench.report.figures.look import INK, SOFT
from grape_bench.report.palette import styles
from grape_bench.score import columns
from grape_bench.score.quantity import Column
from grape_bench.score.results import Results

MOST_TASKS = 12
"""The most rows of panels."""
Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, bottom, right, top
SIDES = tuple((x, y) for x in (1, -1) for y in (1, -1, 2, -2, 3, -3))  # where a name can go, best first


def available(results: Results) -> list[Column]:
    """The costs that were measured: columns relative to BP with the label of an axis."""
    costs = [column for column in columns.COLUMNS if column.bp_is_1 and column.axis]
    return [column for column in costs if column.name in results.table]


def shown(results: Results) -> list[str]:
    """The tasks that are drawn: the first ones."""
    return results.tasks[:MOST_TASKS]


def draw(results: Results, path: Path) -> None:
    """Draw one row per task that is `shown` and one column per cost: each rule's mean with its 95 % interval."""
    look.render(lambda: _figure(results), path)


def _figure(results: Results) -> Figure:
    costs = available(results)
    figure = look.canvas(1.2 + 4.4 * len(costs), 3.1 * len(shown(results)))
    axes = figure.subplots(len(shown(results)), len(costs), squeeze=False, sharey="row")
    for task, row in zip(shown(results), axes, strict=True):
        for panel, cost in zip(row, costs, strict=True):
            _draw_panel(panel, results, task, cost)
        look.heading(row[0], look.plain(task))
        row[0].set_ylabel(f"test {results.metric(task).label}")
    return figure


def _draw_panel(axes: Axes, results: Results, task: str, cost: Column) -> None:
    metric, style, names = results.metric(task), styles(results.rules), look.names(results.rules)
    table = results.table[results.table["task"] == task].dropna(subset=[cost.name, metric.name])
    better = metric.sign
    points = list(zip(table[cost.name], better * table[metric.name], strict=True))
    front = pareto(point for point, rule in zip(points, table["rule"], strict=True) if rule in results.ranked)
    if len(front) > 1:
        axes.plot([x for x, _ in front], [better * y for _, y in front], color=SOFT, linewidth=1, zorder=1)
    for row in table.to_dict("records"):
        color, _, marker = style[row["rule"]]
        half = row[f"{metric.name}_ci"]
        axes.errorbar(
            row[cost.name],
            row[metric.name],
            yerr=None if pd.isna(half) else half,
            fmt=marker,
            color=color,
            markersize=6.5,
            elinewidth=1.4,
        )
    axes.axvline(1, color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    axes.set_xlabel(cost.axis)
    axes.margins(x=0.2, y=0.14)
    look.grid(axes)
    _name_points(axes, [(x, better * y) for x, y in points], [names[rule] for rule in table["rule"]])


def _name_points(axes: Axes, points: Sequence[Point], texts: Sequence[str]) -> None:
    """Write each name beside its point, on the side where it overlaps least with the others."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    places = [((x - left) / (right - left), (y - low) / (high - low)) for x, y in points]
    taken: list[Box] = [(x - 0.015, y - 0.025, x + 0.015, y + 0.025) for x, y in places]
    for point, place, text in zip(points, places, texts, strict=True):
        boxes = {side: _label_box(place, side, len(text)) for side in SIDES}
        side = min(SIDES, key=lambda side: sum(_overlap(boxes[side], other) for other in taken))
        taken.append(boxes[side])
        axes.annotate(
            text,
            point,
            xytext=(6 * side[0], 7 * side[1]),
            textcoords="offset points",
            ha="left" if side[0] > 0 else "right",
            va="center",
            fontsize=8.5,
            color=INK,
        )


def _label_box(place: Point, side: tuple[int, int], characters: int) -> Box:
    """The box of a name at `place`, in widths and heights of the panel."""
    x, y = place[0] + 0.025 * side[0], place[1] + 0.045 * side[1]
    width = 0.02 * characters
    return (x, y - 0.03, x + width, y + 0.03) if side[0] > 0 else (x - width, y - 0.03, x, y + 0.03)


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)


def pareto(points: Iterable[Point]) -> Sequence[Point]:
    """The (cost, score) points that no other point beats on one axis without losing on the other, by rising cost."""
    front: list[Point] = []
    for cost, score in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or score > front[-1][1]:
            front.append((cost, score))
    return front
