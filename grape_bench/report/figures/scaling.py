"""Gap to BP, alignment and anchor effect of each rule over depth or width."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from grape_bench.report.figures import look
from grape_bench.report.figures.look import SOFT
from grape_bench.report.palette import styles
from grape_bench.score.results import Results
from grape_bench.score.scaling import QUANTITIES, Series, Trend, series, trends


def draw(results: Results, path: Path) -> None:
    """Draw one row of panels per series, one panel per quantity: means with 95 % intervals over the size."""
    look.render(lambda: _figure(results), path)


def _figure(results: Results) -> Figure:
    every, found = series(results.tasks), trends(results)
    figure = look.canvas(10.0, 2.9 * len(every) + 0.6)
    axes = figure.subplots(len(every), len(QUANTITIES), squeeze=False)
    for one, row in zip(every, axes, strict=True):
        for (name, quantity), panel in zip(QUANTITIES.items(), row, strict=True):
            _draw_panel(
                panel, one, [trend for trend in found if (trend.series, trend.quantity) == (one, name)], results
            )
            scale = "" if name == "alignment" else f" ({_unit(results, one)})"
            look.heading(panel, f"{look.plain(one.family)}: {quantity.heading}{scale}")
    drawn = [rule for rule in results.rules if any(trend.rule == rule for trend in found)]
    style, names = styles(results.rules), look.names(results.rules)
    lines = [
        axes[0, 0].plot([], [], color=style[rule].color, linestyle=style[rule].dash, marker=style[rule].marker)[0]
        for rule in drawn
    ]
    figure.legend(lines, [names[rule] for rule in drawn], loc="outside lower center", ncols=7, frameon=False)
    return figure


def _draw_panel(axes: Axes, one: Series, found: list[Trend], results: Results) -> None:
    style = styles(results.rules)
    for place, trend in enumerate(found):
        color, dash, marker = style[trend.rule]
        shift = 2 ** (0.05 * (place - (len(found) - 1) / 2))  # rules side by side, so that intervals can be told apart
        axes.errorbar(
            [size * shift for size in trend.points],
            [point.mean for point in trend.points.values()],
            yerr=[0 if math.isnan(point.half_width) else point.half_width for point in trend.points.values()],
            color=color,
            linestyle=dash,
            marker=marker,
            markersize=4.5,
            linewidth=1.3,
            elinewidth=1,
        )
    axes.axhline(0, color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(one.tasks), [str(size) for size in one.tasks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("blocks" if one.axis == "depth" else "width")
    look.grid(axes, "y")


def _unit(results: Results, one: Series) -> str:
    metric = results.metric(next(iter(one.tasks.values())))
    return metric.scale or ("points" if metric.unit == "%" else metric.unit) or metric.heading
