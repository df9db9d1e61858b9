"""The validation score of each rule over a cost, in whole trainings of BP."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path as File

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grape_bench.record.rule_name import FROZEN
from grape_bench.report.figures import look
from grape_bench.report.figures.look import FAINT, SOFT
from grape_bench.report.figures.results import window
from grape_bench.report.palette import Style, styles
from grape_bench.score.equal_cost import BUDGETS, EqualCost
from grape_bench.score.inference import Interval
from grape_bench.score.labels import labels
from grape_bench.score.metric import Metric
from grape_bench.score.path import Path
from grape_bench.score.results import Results

MOST_TASKS = 12
"""The most panels."""

LINE_INCHES, CHARACTER_INCHES = 0.7, 0.08  # of an entry of the legend

MOST_COST = 4.0
"""The largest cost that is drawn, in whole trainings of BP: a much costlier rule would squeeze the others."""


def tasks(results: Results) -> list[str]:
    """The tasks with a comparison."""
    return results.equal.tasks if results.equal else []


def shown(results: Results) -> list[str]:
    """The tasks that are drawn: the first ones."""
    return tasks(results)[:MOST_TASKS]


def draw(results: Results, path: File, width: float = look.WIDTH) -> None:
    """Draw one panel per task that is `shown`: means with a band of the 95 % interval. `frozen` is a level.

    Dashed lines mark the budgets of the table. The figure is `width` inches wide.
    """
    assert results.equal is not None, "a report with --at has a comparison"
    equal = results.equal
    look.render(lambda: _figure(equal, shown(results), results.rules, width), path, width)


def _figure(equal: EqualCost, drawn: list[str], rules: Iterable[str], width: float) -> Figure:
    columns = min(2 if width >= look.NARROW else 1, len(drawn))
    rows = math.ceil(len(drawn) / columns)
    figure = look.canvas(width, 3.1 * rows + 0.6)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    style = styles(rules)
    for task, panel in zip(drawn, axes, strict=False):
        _draw_panel(panel, equal.paths[task].values(), style)
        look.heading(panel, look.plain(task))
        panel.set_xlabel(equal.axis.quantity.axis)
    for panel in axes[len(drawn) :]:
        panel.set_visible(False)
    _add_legend(figure, axes[0], [rule for rule in style if any(rule in equal.paths[task] for task in drawn)], style)
    return figure


def _add_legend(figure: Figure, axes: Axes, rules: Sequence[str], style: Mapping[str, Style]) -> None:
    """Name the rules below the panels, in as many columns as the longest name allows."""
    named = look.names(labels(rules))
    across = figure.get_figwidth() / (LINE_INCHES + CHARACTER_INCHES * max(map(len, named.values())))
    lines = [axes.plot([], [], color=style[rule].color, linestyle=style[rule].dash, linewidth=1.7)[0] for rule in rules]
    figure.legend(lines, list(named.values()), loc="outside lower center", ncols=max(1, int(across)), frameon=False)


def _draw_panel(axes: Axes, paths: Iterable[Path], style: Mapping[str, Style]) -> None:
    every = list(paths)
    metric = every[0].cell.metric
    right = min(MOST_COST, 1.03 * max(1.0, *(path.end for path in every if path.spending)))
    lines = {path.cell.rule: _line(path, right) for path in every}
    for rule, line in lines.items():
        color, dash, marker = style[rule]
        costs, center, low, high = (np.array(part) for part in zip(*_values(line, metric), strict=True))
        axes.fill_between(costs, low, high, color=color, alpha=0.15, linewidth=0)
        axes.plot(costs, center, color=color, linestyle=dash, linewidth=1.7)
        if rule != FROZEN:  # its line has no end
            axes.plot(costs[-1], center[-1], marker, color=color, markersize=5)
    for budget in BUDGETS:
        axes.axvline(budget, color=SOFT if budget == 1 else FAINT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    axes.set_xlim(0, right)
    means = [pd.Series([metric.value(one.mean) for one in line.values()]) for line in lines.values()]
    axes.set_ylim(*window(means, metric))
    direction = "" if metric.higher_is_better else ", lower is better"
    axes.set_ylabel(f"validation {metric.label}{direction}")
    look.grid(axes, "y")


def _line(path: Path, right: float) -> dict[float, Interval]:
    """Cost -> mean and interval. A score that is the same at every cost becomes a level line."""
    band = path.band()
    if len(band) == 1 and 0.0 in band:
        return {0.0: band[0.0], min(path.end, right): band[0.0]}
    return band


def _values(line: Mapping[float, Interval], metric: Metric) -> list[tuple[float, float, float, float]]:
    """Cost, value, and the two ends of the interval, for each point."""
    found = []
    for cost, (center, half, _) in line.items():
        half = 0.0 if math.isnan(half) else half
        found.append((cost, metric.value(center), metric.value(center - half), metric.value(center + half)))
    return found
