"""The results of each task: the test value of every seed of every rule, and the learning curves."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from grape_bench.record.rule_name import FROZEN
from grape_bench.report.figures import look
from grape_bench.report.figures.look import FAINT, INK, SOFT
from grape_bench.report.palette import BLACK, GREY, KNOWN, SILVER, Style, styles
from grape_bench.score.cell import Cell
from grape_bench.score.columns import EPOCH
from grape_bench.score.inference import interval
from grape_bench.score.metric import DEFAULT, Metric
from grape_bench.score.results import Results
from grape_bench.score.verdict import TRAINED

REFERENCES = {"bp": BLACK, "frozen": SILVER, "head-only": GREY}
SIDE_BY_SIDE = 4.5
"""Inches below which the two panels of a task lie one above the other."""
MOST_LINES, BEST = 16, 8
"""With more curves than `MOST_LINES` only the references and the `BEST` others have a color and a name."""
MOST_TASKS = 12
"""The most rows of panels."""
VERDICT = 12  # characters in a line of a verdict


def shown(results: Results) -> list[str]:
    """The tasks that are drawn: the first ones."""
    return results.tasks[:MOST_TASKS]


def draw(results: Results, path: Path, width: float = look.WIDTH) -> None:
    """Draw one row per task that is `shown`.

    Left: test value of every seed, with mean, 95 % interval and verdict; dashed lines mark BP and the controls. Right,
    if there are curves: validation over epochs, mean over seeds.
    """
    look.render(lambda: _figure(results, width), path, width)


def _figure(results: Results, width: float) -> Figure:
    table, tasks = results.table, shown(results)
    style, names = styles(results.rules), look.names(results.names)
    high = [look.inches(1.75 * max(6, int((table["task"] == task).sum())) + 5) for task in tasks]
    columns = 2 if results.curves and width >= SIDE_BY_SIDE else 1
    panels = 2 if results.curves else 1
    heights = [each for each in high for _ in range(panels // columns)]
    figure = look.canvas(width if panels == 2 else min(width, 0.6 * look.WIDTH), sum(heights))
    grid = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights).reshape(len(tasks), panels)
    room = 0.4 * width if columns == 2 else 0.7 * width
    named: list[tuple[Axes, dict[str, pd.Series]]] = []
    for task, row in zip(tasks, grid, strict=True):
        of_task = table[table["task"] == task]
        draw_ends(row[0], results, task, style)
        row[0].set_xlabel(look.wrapped(_measured(results.metric(task)), room))
        if results.curves:
            cells = [results.grid[task, rule] for rule in of_task["rule"]]
            lines, grey = draw_curves(row[1], cells, results.curves, style)
            named.append((row[1], lines))
            title = f"validation {results.metric(task).label}, mean of seeds{f'; gray: {grey} others' if grey else ''}"
            row[1].set_title(look.wrapped(title, room), loc="left")
    figure.draw_without_rendering()  # names are placed in points, so the axes need their final size first
    for panel, drawn in named:
        name_ends(panel, drawn, style, names)
    return figure


def _measured(metric: Metric) -> str:
    direction = "" if metric.higher_is_better else ", lower is better"
    return f"test {metric.label}{direction}: mean, 95 % interval, seeds. Open: not shown to be trained"


def draw_ends(axes: Axes, results: Results, task: str, style: Mapping[str, Style]) -> None:
    """Draw the test values of one task: one line per rule, the first on top."""
    metric, names = results.metric(task), look.names(results.names)
    table = results.table[results.table["task"] == task]
    for place, row in enumerate(table.to_dict("records")):
        rule, center, half = row["rule"], row[metric.name], row[f"{metric.name}_ci"]
        color, _, marker = style[rule]
        if row["n"] == 0:
            _write_status(axes, place, row["status"])
            continue
        if row["n"] > 1:
            ends = _ends(results.grid[task, rule]) if metric.logarithmic else (center - half, center + half)
            axes.plot(ends, [place] * 2, color=color, linewidth=1.8, zorder=3)
        verdict = row.get("verdict") or TRAINED  # a control has none
        face = color if verdict == TRAINED else "white"
        axes.plot(center, place, marker, color=color, markerfacecolor=face, markersize=7, zorder=4)
        if verdict != TRAINED:
            how: Any = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": look.small()}
            axes.text(1.02, place, textwrap.fill(verdict, VERDICT), color=SOFT, linespacing=1, **how)
        # Seeds go below the line of the interval: on it they would hide each other and the mean.
        values = list(results.grid[task, rule].values.values())
        axes.plot(values, [place + 0.34] * len(values), "o", color=color, markersize=2.6, zorder=3)
        if rule in REFERENCES:
            axes.axvline(center, color=REFERENCES[rule], linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.set_yticks(range(len(table)), [names[rule] for rule in table["rule"]])
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    if metric.logarithmic:
        look.logarithmic(axes, "x")
    axes.spines["left"].set_visible(False)
    look.grid(axes, "x")
    look.heading(axes, look.plain(task))


def _ends(cell: Cell) -> tuple[float, float]:
    """The 95 % interval of a metric whose values are not on the scale of its scores. Its sides have other lengths."""
    found = interval(list(cell.scores.values()))
    return cell.metric.value(found.mean - found.half_width), cell.metric.value(found.mean + found.half_width)


def draw_curves(
    axes: Axes,
    of_task: Iterable[Cell],
    curves: Mapping[str, pd.DataFrame],
    style: Mapping[str, Style],
) -> tuple[dict[str, pd.Series], int]:
    """Draw the validation metric of one task over epochs.

    Returns rule -> its line, for those that get a name, and the number of the others.
    """
    cells = list(of_task)
    metric = next((cell.metric for cell in cells if cell.results), DEFAULT)
    lines = {cell.rule: mean_curve(validation(cell, curves)) for cell in cells}
    lines = level({rule: line for rule, line in lines.items() if not line.empty})
    named = _named(lines, metric)
    for place, (rule, line) in enumerate(lines.items()):
        color, dash, marker = style[rule]
        if rule not in named:
            axes.plot(line.index, line.to_numpy(), color=FAINT, linewidth=0.9, zorder=2)
            continue
        step = max(1, len(line) // 4)  # a few markers per line, at other epochs than the next line's
        marks = [] if len(line) == 2 else list(range(place % step, len(line), step))
        front = 3 if rule in REFERENCES else 4
        axes.plot(
            line.index,
            line.to_numpy(),
            color=color,
            linestyle=dash,
            linewidth=1.6,
            marker=marker,
            markersize=4,
            markevery=marks,
            zorder=front,
        )
    look.grid(axes, "y")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel(EPOCH.axis)
    if lines:
        axes.set_ylim(*window([lines[rule] for rule in named], metric))
    return {rule: lines[rule] for rule in named}, len(lines) - len(named)


def _named(lines: Mapping[str, pd.Series], metric: Metric) -> list[str]:
    """The rules whose lines have a color and a name: all, or the references and the best others."""
    if len(lines) <= MOST_LINES:
        return list(lines)
    others = [rule for rule in lines if rule not in KNOWN]
    best = sorted(others, key=lambda rule: -metric.sign * float(lines[rule].iloc[-1]))[:BEST]
    return [rule for rule in lines if rule in KNOWN or rule in best]


def validation(cell: Cell, curves: Mapping[str, pd.DataFrame]) -> list[pd.Series]:
    """The validation values of each seed that has a curve, indexed by epoch."""
    own = [curves[record.id] for record in cell.results if record.id in curves]
    return [cell.metric.validation(curve).set_axis(curve["epoch"]) for curve in own]


def mean_curve(columns: Sequence[pd.Series]) -> pd.Series:
    """Mean by epoch, up to the last epoch that every seed reached.

    Beyond it, the mean would cover only the seeds that did not diverge, and would thus rise. An epoch at which a value
    is not finite, such as a perplexity that overflowed, is left out.
    """
    if not columns:
        return pd.Series(dtype=float)
    every = pd.concat(columns, axis=1, join="inner")
    return every.where(np.isfinite(every)).dropna().mean(axis=1)


def level(lines: Mapping[str, pd.Series]) -> dict[str, pd.Series]:
    """Draw the control `frozen`, which has a single value, as a level over all epochs of the others.

    Another rule with a single value was evaluated once, and stays a point.
    """
    epochs = sorted({float(epoch) for rule, line in lines.items() if rule != FROZEN for epoch in line.index})
    if FROZEN not in lines or not epochs:
        return dict(lines)
    ends = [epochs[0] if len(epochs) > 1 else 0.0, epochs[-1]]
    return {**lines, FROZEN: pd.Series(lines[FROZEN].iloc[0], index=ends)}


def window(lines: Iterable[pd.Series], metric: Metric = DEFAULT) -> tuple[float, float]:
    """The range of values to show: the range of the lines' ends, and as much again on the worse side.

    Showing the first epochs, which improve by tens of points, would squeeze the ends of the lines together. Values that
    are not finite are not shown.
    """
    every = [metric.sign * shown for line in lines if len(shown := line[np.isfinite(line)])]  # higher is better
    if not every:
        return 0.0, 1.0
    top, ends = max(line.max() for line in every), [line.iloc[-1] for line in every]
    least = 5.0 if metric.unit == "%" else 0.1 * abs(top)
    depth = max(2 * (top - min(ends)), least)
    low = max(top - depth, min(line.min() for line in every))
    margin = 0.05 * max(top - low, least / 5)
    return (low - margin, top + margin) if metric.higher_is_better else (-top - margin, -low + margin)


def name_ends(axes: Axes, lines: Mapping[str, pd.Series], style: Mapping[str, Style], names: Mapping[str, str]) -> None:
    """Write each rule's name beside the end of its line. Names of close ends are moved apart, with a leader line."""
    if not lines:
        return
    ordered = sorted(lines, key=lambda rule: float(lines[rule].iloc[-1]))
    low, high = axes.get_ylim()
    last = max(float(line.index[-1]) for line in lines.values())
    first = min(float(line.index[0]) for line in lines.values())
    axes.set_xlim(first - 0.02 * (last - first + 1), last + 0.01 * (last - first + 1))
    ends = [float(lines[rule].iloc[-1]) for rule in ordered]
    heights = spread(ends, gap=(high - low) * 1.35 * look.small() / _height_in_points(axes), high=high)
    edge = axes.get_yaxis_transform()  # x in widths of the axes, y in data units
    for rule, height in zip(ordered, heights, strict=True):
        line, color = lines[rule], style[rule].color
        axes.annotate(
            "",
            (float(line.index[-1]), float(line.iloc[-1])),
            xytext=(1.055, height),
            textcoords=edge,
            arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 1},
            annotation_clip=False,
        )
        axes.text(1.065, height, names[rule], transform=edge, va="center", fontsize=look.small(), color=INK)


def spread(values: Sequence[float], *, gap: float, high: float) -> list[float]:
    """Move ascending `values` as little as possible (least squares) so that they are `gap` apart and below `high`.

    [4, 4], gap 1, high 10  ->  one group of center 4 and size 2  ->  [3.5, 4.5]
    """
    groups: list[tuple[float, int]] = []  # center and size of labels that touch
    for value in values:
        center, size = value, 1
        while groups and groups[-1][0] + gap * (groups[-1][1] + size) / 2 > center:
            other, count = groups.pop()
            center, size = (center * size + other * count) / (size + count), size + count
        groups.append((center, size))
    moved = [center + gap * (i - (size - 1) / 2) for center, size in groups for i in range(size)]
    return [min(height, high - gap * above) for above, height in enumerate(reversed(moved))][::-1]


def _height_in_points(axes: Axes) -> float:
    return float(axes.get_window_extent().height / axes.figure.dpi * 72)


def _write_status(axes: Axes, place: int, status: str) -> None:
    across = axes.get_yaxis_transform()
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    axes.text(0.02, place, status, transform=across, va="center", color=SOFT, style="italic", bbox=box)
