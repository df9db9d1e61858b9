"""Gap to BP, alignment and anchor effect of each rule over depth or width."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from grape_bench.report.figures import look
from grape_bench.report.figures.look import SOFT
from grape_bench.report.palette import styles
from grape_bench.score.results import Results
from grape_bench.score.scaling import QUANTITIES, Series, Trend, series, trends


def draw(results: Results, path: Path, width: float = look.WIDTH) -> None:
    """Draw one row of panels per series, one panel per quantity: means with 95 % intervals over the size."""
    look.render(lambda: _figure(results, width), path, width)


def _figure(results: Results, width: float) -> Figure:
    every, found = series(results.tasks), trends(results)
    drawn = [rule for rule in results.rules if any(trend.rule == rule for trend in found)]
    across = max(1, int(width / look.inches(11)))  # panels side by side
    columns = max(1, int(width / look.inches(11)))  # of the legend
    rows = math.ceil(len(QUANTITIES) / across)
    legend = look.inches(math.ceil(len(drawn) / columns) + 1)
    figure = look.canvas(width, look.inches(15) * len(every) * rows + legend)
    axes = figure.subplots(len(every) * rows, min(across, len(QUANTITIES)), squeeze=False)
    for one, panels in zip(every, axes.reshape(len(every), -1), strict=True):
        for (name, quantity), panel in zip(QUANTITIES.items(), panels, strict=False):
            _draw_panel(
                panel, one, [trend for trend in found if (trend.series, trend.quantity) == (one, name)], results
            )
            scale = "" if name == "alignment" else f" ({_unit(results, one)})"
            look.heading(panel, look.plain(one.family))
            panel.set_ylabel(f"{quantity.heading}{scale}", labelpad=2)
        for panel in panels[len(QUANTITIES) :]:
            panel.set_axis_off()
    style, names = styles(results.rules), look.names(results.names)
    looks: list[Any] = [style[rule] for rule in drawn]
    lines = [Line2D([], [], color=one.color, linestyle=one.dash, marker=one.marker, markersize=4.5) for one in looks]
    figure.legend(lines, [names[rule] for rule in drawn], loc="outside lower left", ncols=columns, frameon=False)
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
