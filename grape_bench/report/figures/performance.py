"""The performance profile over all tasks, and the averages of norm acc with their intervals."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grape_bench.report.figures import look
from grape_bench.report.figures.look import INK
from grape_bench.report.palette import styles
from grape_bench.score.columns import COLUMN, REACHED
from grape_bench.score.results import Results

AVERAGES = ("norm_acc", "iqm")  # drawn filled and open


def draw(results: Results, path: Path) -> None:
    """Draw the share of runs that reach a credit (left) and, if there are several tasks, the averages (right)."""
    look.render(lambda: _figure(results), path)


def _figure(results: Results) -> Figure:
    averages = not results.overall.empty
    figure = look.canvas(10.0 if averages else 5.6, max(3.2, 0.34 * len(results.rules) + 1.3))
    axes = figure.subplots(1, 2 if averages else 1, squeeze=False)[0]
    draw_profile(axes[0], results)
    if averages:
        draw_averages(axes[1], results)
    return figure


def draw_profile(axes: Axes, results: Results) -> None:
    """Draw a falling line per rule. Further to the right is better."""
    style, names = styles(results.rules), look.names(results.rules)
    for rule in results.profile:
        color, dash, _ = style[str(rule)]
        share = 100 * results.profile[rule]
        axes.plot(
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
    axes.legend(framealpha=0.9, edgecolor="none", fontsize=8.5, loc="lower left")
    look.heading(axes, "performance profile")
    look.grid(axes)


def draw_averages(axes: Axes, results: Results) -> None:
    """Draw two intervals per rule, the best rule on top: mean (filled) and interquartile mean (open)."""
    table, style, names = results.overall, styles(results.rules), look.names(results.rules)
    for height, row in enumerate(table.to_dict("records")):
        color, _, marker = style[row["rule"]]
        for offset, name in zip((-0.14, 0.14), AVERAGES, strict=True):
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            axes.plot([low, high], [height + offset] * 2, color=color, linewidth=1.6)
            face = color if name == "norm_acc" else "white"
            axes.plot(row[name], height + offset, marker, color=color, markerfacecolor=face, markersize=6)
    axes.set_yticks(range(len(table)), [names[rule] for rule in table["rule"]])
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"{COLUMN['norm_acc'].axis}: mean (filled), interquartile mean (open)")
    look.heading(axes, "all tasks")
    look.grid(axes, "x")
