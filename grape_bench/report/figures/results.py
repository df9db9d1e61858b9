"""The results of each task: the test value of every seed of every rule, and the learning curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from grape_bench.report.figures import look
from grape_bench.report.figures.look import INK, SOFT
from grape_bench.report.palette import BLACK, GREY, SILVER, Style, styles
from grape_bench.score.cell import Cell
from grape_bench.score.columns import EPOCH
from grape_bench.score.metric import DEFAULT, Metric
from grape_bench.score.results import Results

LINE_POINTS = 11.5  # distance between two names, in points
REFERENCES = {"bp": BLACK, "frozen": SILVER, "head-only": GREY}


MOST_TASKS = 12
"""The most rows of panels."""


def shown(results: Results) -> list[str]:
    """The tasks that are drawn: the first ones."""
    return results.tasks[:MOST_TASKS]


def draw(results: Results, path: Path) -> None:
    """Draw one row per task that is `shown`.

    Left: test value of every seed, with mean and 95 % interval; dashed lines mark BP and the controls. Right, if there
    are curves: validation over epochs, mean over seeds.
    """
    look.render(lambda: _figure(results), path)


def _figure(results: Results) -> Figure:
    table, tasks = results.table, shown(results)
    style, names = styles(results.rules), look.names(results.rules)
    heights = [0.29 * max(6, int((table["task"] == task).sum())) + 1.15 for task in tasks]
    figure = look.canvas(10.0 if results.curves else 6.0, sum(heights))
    columns = 2 if results.curves else 1
    axes = figure.subplots(len(tasks), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    named: list[tuple[Axes, dict[str, pd.Series]]] = []
    for task, row in zip(tasks, axes, strict=True):
        of_task = table[table["task"] == task]
        draw_ends(row[0], results, task, style)
        if results.curves:
            cells = [results.grid[task, rule] for rule in of_task["rule"]]
            named.append((row[1], draw_curves(row[1], cells, results.curves, style)))
    figure.draw_without_rendering()  # names are placed in points, so the axes need their final size first
    for panel, lines in named:
        name_ends(panel, lines, style, names)
    return figure


def draw_ends(
    axes: Axes,
    results: Results,
    task: str,
    style: Mapping[str, Style],
) -> None:
    """Draw the test values of one task: one line per rule, the first on top."""
    metric, names = results.metric(task), look.names(results.rules)
    table = results.table[results.table["task"] == task]
    for place, row in enumerate(table.to_dict("records")):
        rule, center, half = row["rule"], row[metric.name], row[f"{metric.name}_ci"]
        color, _, marker = style[rule]
        if row["n"] == 0:
            _write_status(axes, place, row["status"])
            continue
        if row["n"] > 1:
            axes.plot([center - half, center + half], [place] * 2, color=color, linewidth=1.8, zorder=3)
        axes.plot(center, place, marker, color=color, markersize=7, zorder=4)
        # Seeds go below the line of the interval: on it they would hide each other and the mean.
        values = list(results.grid[task, rule].values.values())
        axes.plot(values, [place + 0.32] * len(values), "o", color=color, markersize=2.6, zorder=3)
        if rule in REFERENCES:
            axes.axvline(center, color=REFERENCES[rule], linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.set_yticks(range(len(table)), [names[rule] for rule in table["rule"]])
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=10, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    look.grid(axes, "x")
    look.heading(axes, look.plain(task))
    direction = "" if metric.higher_is_better else ", lower is better"
    axes.set_xlabel(f"test {metric.label}{direction}: mean, 95 % interval, seeds")


def draw_curves(
    axes: Axes,
    of_task: Iterable[Cell],
    curves: Mapping[str, pd.DataFrame],
    style: Mapping[str, Style],
) -> dict[str, pd.Series]:
    """Draw the validation metric of one task over epochs. Returns rule -> its line."""
    cells = list(of_task)
    lines = {cell.rule: mean_curve(validation(cell, curves)) for cell in cells}
    lines = level({rule: line for rule, line in lines.items() if not line.empty})
    for rule, line in lines.items():
        color, dash, _ = style[rule]
        front = 3 if rule in REFERENCES else 4
        mark = "o" if len(line) == 1 else ""
        axes.plot(line.index, line.to_numpy(), color=color, linestyle=dash, linewidth=1.7, marker=mark, zorder=front)
    look.grid(axes, "y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(EPOCH.axis)
    metric = next((cell.metric for cell in cells if cell.results), DEFAULT)
    axes.set_title(f"validation {metric.label}, mean of seeds", loc="left", fontsize=9.5)
    if lines:
        axes.set_ylim(*window(lines.values(), metric))
    return lines


def validation(cell: Cell, curves: Mapping[str, pd.DataFrame]) -> list[pd.Series]:
    """The validation values of each seed that has a curve, indexed by epoch."""
    own = [curves[record.id] for record in cell.results if record.id in curves]
    return [cell.metric.validation(curve).set_axis(curve["epoch"]) for curve in own]


def mean_curve(columns: Sequence[pd.Series]) -> pd.Series:
    """Mean by epoch, up to the last epoch that every seed reached.

    Beyond it, the mean would cover only the seeds that did not diverge, and would thus rise.
    """
    if not columns:
        return pd.Series(dtype=float)
    return pd.concat(columns, axis=1, join="inner").dropna().mean(axis=1)


def level(lines: Mapping[str, pd.Series]) -> dict[str, pd.Series]:
    """Draw a rule with a single value, such as the control `frozen`, as a level over all epochs of the others."""
    epochs = sorted({float(epoch) for line in lines.values() for epoch in line.index})
    if len(epochs) < 2:
        return dict(lines)
    ends = [epochs[0], epochs[-1]]
    return {rule: pd.Series(line.iloc[0], index=ends) if len(line) == 1 else line for rule, line in lines.items()}


def window(lines: Iterable[pd.Series], metric: Metric = DEFAULT) -> tuple[float, float]:
    """The range of values to show: where the lines end, and as much again on the worse side.

    Showing the first epochs, which improve by tens of points, would squeeze the ends of the lines together.
    """
    every = [metric.sign * line for line in lines]  # higher is better
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
    heights = spread(ends, gap=(high - low) * LINE_POINTS / _height_in_points(axes), high=high)
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
        axes.text(1.065, height, names[rule], transform=edge, va="center", fontsize=9, color=INK)


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
