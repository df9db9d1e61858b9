"""The alignment of each block's signal with the true gradient over training: one heat map per rule and task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from grape_bench.report.figures import look
from grape_bench.report.figures.look import SOFT
from grape_bench.score.alignment import COSINE
from grape_bench.score.columns import SAMPLES
from grape_bench.score.results import Results

MOST_TASKS, MOST_RULES = 8, 12
"""The most rows and columns of panels. Those of more tasks and rules are too small to read, and take minutes."""


def draw(results: Results, path: Path) -> None:
    """Draw one row per task and one panel per rule, with the first block at the bottom."""
    look.render(lambda: _figure(results), path)


def measured(results: Results) -> tuple[list[str], list[str]]:
    """The tasks and rules that have an alignment."""
    tasks, rules = ({key[place] for key in results.alignment} for place in (0, 1))
    return [task for task in results.tasks if task in tasks], [rule for rule in results.rules if rule in rules]


def shown(results: Results) -> tuple[list[str], list[str]]:
    """The tasks and rules whose panels are drawn: the first that have any."""
    tasks, rules = measured(results)
    return tasks[:MOST_TASKS], rules[:MOST_RULES]


def _figure(results: Results) -> Figure:
    found = results.alignment
    tasks, rules = shown(results)
    names = look.names(results.rules)
    figure = look.canvas(1.5 + 1.9 * len(rules), 0.6 + 2.2 * len(tasks))
    axes = figure.subplots(len(tasks), len(rules), squeeze=False)
    image: Any = None
    for task, row in zip(tasks, axes, strict=True):
        for rule, panel in zip(rules, row, strict=True):
            panel.set_title(names[rule], fontsize=9.5, loc="left")
            if (task, rule) in found:
                image = _draw_map(panel, found[task, rule], labeled=panel is row[0])
            else:
                panel.set_axis_off()
        row[0].set_ylabel(f"{look.plain(task)}\nblock")
    figure.colorbar(image, ax=axes, label=COSINE.axis, shrink=0.8)
    return figure


def _draw_map(axes: Axes, cosines: pd.DataFrame, *, labeled: bool) -> Any:
    # Purple to white to green: 0 is white, and lightness falls on both sides.
    image = axes.imshow(cosines.to_numpy(float), cmap="PRGn", vmin=-1, vmax=1, aspect="auto", origin="lower")
    names = [look.plain(str(block)) if labeled else "" for block in cosines.index]
    axes.set_yticks(range(len(cosines)), names, fontsize=7.5)
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    samples = cosines.columns.to_numpy(float)
    axes.xaxis.set_major_formatter(lambda x, _: f"{samples[int(x)] / 1000:.0f}k" if 0 <= x < len(samples) else "")
    axes.set_xlabel(SAMPLES.heading, fontsize=8.5)
    axes.tick_params(length=2, color=SOFT)
    return image
