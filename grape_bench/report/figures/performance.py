"""The performance profile over all tasks, and the averages of norm acc with their intervals."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from grape_bench.report.figures import look
from grape_bench.report.figures.look import INK
from grape_bench.report.palette import styles
from grape_bench.score.columns import COLUMN, REACHED
from grape_bench.score.results import Results

AVERAGES = ("norm_acc", "iqm")
AVERAGED = "mean (filled), interquartile mean (open)"


def draw(results: Results, path: Path, width: float = look.WIDTH) -> None:
    """Draw the share of runs that reach a credit (left) and, if there are several tasks, the averages (right)."""
    look.render(lambda: _figure(results, width), path, width)


def _figure(results: Results, width: float) -> Figure:
    averages = not results.overall.empty
    width = width if averages else min(width, 0.6 * look.WIDTH)
    columns = max(1, int(width / look.inches(10)))  # of the legend
    rows = max(9.0, 1.8 * len(results.overall)) + 5 + math.ceil(len(results.profile.columns) / columns)
    figure = look.canvas(width, look.inches(rows))
    axes = figure.subplots(1, 2 if averages else 1, squeeze=False)[0]
    lines = draw_profile(axes[0], results)
    if averages:
        draw_averages(axes[1], results)
        axes[1].set_xlabel(look.wrapped(f"{COLUMN['norm_acc'].axis}: {AVERAGED}", 0.35 * width))
    # Below the panels, because inside a panel it would cover data.
    figure.legend(handles=lines, loc="outside lower left", ncols=columns, frameon=False, borderaxespad=0)
    return figure


def draw_profile(axes: Axes, results: Results) -> list[Line2D]:
    """Draw a falling line per rule, and return the lines. Further to the right is better."""
    style, names = styles(results.rules), look.names(results.names)
    lines = []
    for rule in results.profile:
        color, dash, _ = style[str(rule)]
        share = 100 * results.profile[rule]
        lines += axes.plot(
            share.index,
            share,
            color=color,
            linestyle=dash,
            linewidth=1.7,
            drawstyle="steps-pre",
            label=names[str(rule)],
        )
    axes.set_xlabel(COLUMN["credit"].axis)
    axes.set_ylabel(REACHED.axis)
    axes.set_ylim(-3, 103)
    look.heading(axes, "performance profile")
    look.grid(axes)
    return lines


def draw_averages(axes: Axes, results: Results) -> None:
    """Draw two intervals per rule, the best rule on top: mean (filled) and interquartile mean (open)."""
    table, style, names = results.overall, styles(results.rules), look.names(results.names)
    for height, row in enumerate(table.to_dict("records")):
        color, _, marker = style[row["rule"]]
        for offset, name in zip((-0.16, 0.16), AVERAGES, strict=True):
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            axes.plot([low, high], [height + offset] * 2, color=color, linewidth=1.6)
            face = color if name == "norm_acc" else "white"
            axes.plot(row[name], height + offset, marker, color=color, markerfacecolor=face, markersize=5.5)
    axes.set_yticks(range(len(table)), [names[rule] for rule in table["rule"]])
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    look.heading(axes, "all tasks")
    look.grid(axes, "x")
