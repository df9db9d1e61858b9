"""Who beats whom: the mean rank of each rule, and the share of paired runs in which one rule beats another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from grape_bench.report.figures import look
from grape_bench.report.figures.look import INK
from grape_bench.report.palette import styles
from grape_bench.score.open_rows import without_open
from grape_bench.score.overall import ranks
from grape_bench.score.results import Results

# Orange to white to blue: safe for the color-blind, and 0.5 is the lightest even in grayscale.
DIVERGING = LinearSegmentedColormap.from_list("better", ["#e69f00", "#ffffff", "#0072b2"])


MOST_RULES = 20
"""The most rows, so that the numbers of the matrix do not overlap. The rules with the best mean rank are shown."""
SIDE_BY_SIDE = look.NARROW
"""Inches below which the ranks lie above the matrix."""


def draw(results: Results, path: Path, width: float = look.WIDTH) -> None:
    """Draw ranks per task and their mean (left), and the matrix of paired runs (right)."""
    look.render(lambda: _figure(results, width), path, width)


def by_mean(results: Results) -> pd.DataFrame:
    """Ranks, (rules, tasks), sorted by mean rank. Rules without a result on some task come last, open rows nowhere."""
    table = ranks(without_open(results.grid))
    order = table.mean(axis=1, skipna=False).sort_values(kind="stable", na_position="last").index
    return table.loc[[rule for rule in order if rule in results.rules]]


def shown(results: Results) -> list[str]:
    """The rules that are drawn: the first by mean rank."""
    return [str(rule) for rule in by_mean(results).index[:MOST_RULES]]


def _figure(results: Results, width: float) -> Figure:
    table = by_mean(results).loc[shown(results)]
    height = look.inches(1.7 * len(table) + 4)
    names_below = look.inches(max(len(name) for name in look.names(results.names).values()) / 2.5)
    if width >= SIDE_BY_SIDE:
        figure = look.canvas(width, height + names_below)
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.25])
    else:
        figure = look.canvas(width, 2 * height + names_below)
        left, right = figure.subplots(2, 1)
    draw_ranks(left, table, results)
    draw_better(right, results.better.loc[table.index, table.index], results)
    return figure


def draw_ranks(axes: Axes, table: pd.DataFrame, results: Results) -> None:
    """Draw one line per rule: small dots for the tasks, a large marker for the mean."""
    style, names = styles(results.rules), look.names(results.names)
    for height, rule in enumerate(table.index.astype(str)):
        (color, _, marker), row = style[rule], table.loc[rule]
        axes.plot(row.to_numpy(), [height + 0.3] * len(row), "o", color=color, markersize=2.8)
        if row.notna().all():
            axes.plot(row.mean(), height, marker, color=color, markersize=6.5)
    axes.set_yticks(range(len(table)), [names[rule] for rule in table.index.astype(str)])
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.set_xlim(0.6, max(len(table), float(np.nanmax(table.to_numpy(float), initial=1))) + 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("rank by mean test score:\ntasks (small), their mean (large)")
    look.heading(axes, "rank")
    look.grid(axes, "x")


def draw_better(axes: Axes, matrix: pd.DataFrame, results: Results) -> None:
    """Draw how often the row's rule beats the column's, in percent of paired runs."""
    names = look.names(results.names)
    labels = [names[rule] for rule in matrix.index.astype(str)]
    values = matrix.to_numpy(float)
    axes.imshow(values, cmap=DIVERGING, vmin=-0.6, vmax=1.6, aspect="auto")  # light enough for black text
    for (i, j), value in np.ndenumerate(values):
        if not np.isnan(value):
            axes.text(j, i, f"{100 * value:.0f}", ha="center", va="center", fontsize=7, color=INK)
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)
    look.heading(axes, "% of runs: row beats column")
