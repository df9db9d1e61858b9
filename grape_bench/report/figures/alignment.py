"""The alignment of each block's signal with the true gradient over training: a panel per task and rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, MaxNLocator

from grape_bench.report.figures import look
from grape_bench.report.figures.look import FAINT, SOFT
from grape_bench.score.alignment import COSINE
from grape_bench.score.columns import SAMPLES
from grape_bench.score.results import Results

MOST_TASKS, MOST_RULES = 9, 24
"""The most tasks and rules that are drawn."""
NAMED = 8
"""The most blocks that the legend names. If there are more, it names some from the first to the last."""
LEFT, RIGHT, PANEL, HEIGHT, GAP = 0.75, 1.25, 0.95, 1.05, 0.12  # inches: margins, least panel, space between two


class Row(NamedTuple):
    """Panels side by side: rules of one task. `first` and `last` say whether the task begins or ends here."""

    task: str
    rules: Sequence[str]
    first: bool
    last: bool


def draw(results: Results, path: Path, width: float = look.WIDTH) -> None:
    """Draw a line per block, the first block darkest, and a band for fresh random feedback."""
    look.render(lambda: _figure(results, width), path, width)


def measured(results: Results) -> tuple[list[str], list[str]]:
    """The tasks and rules that have an alignment."""
    tasks, rules = ({key[place] for key in results.alignment} for place in (0, 1))
    return [task for task in results.tasks if task in tasks], [rule for rule in results.rules if rule in rules]


def shown(results: Results) -> tuple[list[str], list[str]]:
    """The tasks and rules whose panels are drawn: the first that have any."""
    tasks, rules = measured(results)
    return tasks[:MOST_TASKS], rules[:MOST_RULES]


def _figure(results: Results, width: float) -> Figure:
    most = max(1, int((width - LEFT - RIGHT) / (PANEL + GAP)))
    rows = _rows(results, most)
    below = [look.inches(3.2 if row.last else 0.6) for row in rows]
    heights = [look.inches(3 if row.first else 1.5) + HEIGHT + under for row, under in zip(rows, below, strict=True)]
    figure = Figure(figsize=(width, sum(heights) + look.inches(0.5)), facecolor="white")
    bottom, step = figure.get_figheight(), (width - LEFT - RIGHT) / most
    for row, height, under in zip(rows, heights, below, strict=True):
        bottom -= height
        places = [(LEFT + place * step, bottom + under, step - GAP, HEIGHT) for place in range(len(row.rules))]
        panels = [_panel(figure, place) for place in places]
        _draw_row(panels, row, results)
        if row.first:
            _draw_legend(panels[-1], _maps(results, row.task))
    return figure


def _panel(figure: Figure, place: tuple[float, float, float, float]) -> Axes:
    """Axes at left, bottom, width and height in inches."""
    wide, high = figure.get_size_inches()
    left, bottom, width, height = place
    return figure.add_axes((left / wide, bottom / high, width / wide, height / high))


def _rows(results: Results, most: int) -> list[Row]:
    """Rows of panels of limited length, with the rules that have an alignment on each task."""
    tasks, every = shown(results)
    rows = []
    for task in tasks:
        rules = [rule for rule in every if (task, rule) in results.alignment]
        count = math.ceil(len(rules) / math.ceil(len(rules) / most))
        parts = [rules[start : start + count] for start in range(0, len(rules), count)]
        rows += [Row(task, part, part is parts[0], part is parts[-1]) for part in parts]
    return rows


def _draw_row(panels: Sequence[Axes], row: Row, results: Results) -> None:
    names = look.names(results.names)
    of_task = _maps(results, row.task)
    low = min(-0.1, *(float(np.nanmin(found.to_numpy(float))) for found in of_task))
    last = max(float(found.columns[-1]) for found in of_task)
    for rule, axes in zip(row.rules, panels, strict=True):
        cosines = results.alignment[row.task, rule]
        axes.set_xlim(-0.04 * last, 1.06 * last)
        axes.set_ylim(low - 0.03, 1.03)
        _draw_panel(axes, cosines, results.null_alignment.get((row.task, rule)))
        letters = int(axes.get_window_extent().width / axes.figure.dpi / (0.6 * look.small() / 72))
        axes.set_title(look.plain(names[rule], letters), loc="left", pad=3, fontsize=look.small())
        axes.tick_params(length=2, color=SOFT, labelbottom=row.last, labelleft=axes is panels[0])
    if row.last:
        panels[0].set_xlabel(SAMPLES.axis, loc="left")
    panels[0].set_ylabel(look.wrapped(COSINE.axis, HEIGHT), labelpad=2)
    if row.first:
        size = float(mpl.rcParams["font.size"]) + 1
        above = (0, look.inches(1.3) * 72)  # points
        panels[0].annotate(
            look.plain(row.task), (0, 1), above, "axes fraction", "offset points", fontweight="bold", fontsize=size
        )


def _draw_panel(axes: Axes, cosines: pd.DataFrame, null: pd.DataFrame | None) -> None:
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    if null is not None:
        # The root mean square over blocks. A single moment gives a level over the whole panel.
        band = np.sqrt((null.to_numpy(float) ** 2).mean(axis=0))
        at = null.columns.to_numpy(float)
        if len(at) == 1:
            at, band = np.array(axes.get_xlim()), np.repeat(band, 2)
        axes.fill_between(at, -band, band, color=SOFT, alpha=0.28, linewidth=0)
    for color, (_, row) in zip(_colors(len(cosines)), cosines.iterrows(), strict=True):
        line = row.dropna()
        mark = "o" if len(line) <= 12 else ""
        axes.plot(
            line.index.to_numpy(float), line.to_numpy(float), marker=mark, markersize=3, color=color, linewidth=1.2
        )


def _draw_legend(beside: Axes, maps: Sequence[pd.DataFrame]) -> None:
    blocks = list(dict.fromkeys(str(block) for found in maps for block in found.index))
    # The last block on top, as in a drawing of the network.
    named = sorted({round(place) for place in np.linspace(0, len(blocks) - 1, NAMED)}, reverse=True)
    colors = _colors(len(blocks))
    handles: list[Any] = [Line2D([], [], color=colors[i], marker="o", markersize=3, linewidth=1.2) for i in named]
    beside.legend(
        [*handles, Patch(color=SOFT, alpha=0.28, linewidth=0)],
        [*(look.plain(blocks[i], 15) for i in named), "random\nfeedback"],
        loc="upper left",
        bbox_to_anchor=(1.02, 1.1),
        frameon=False,
        fontsize=look.small(),
        handlelength=1.2,
        labelspacing=0.2,
        borderaxespad=0,
    )


def _maps(results: Results, task: str) -> list[pd.DataFrame]:
    _, rules = shown(results)
    return [results.alignment[task, rule] for rule in rules if (task, rule) in results.alignment]


def _colors(count: int) -> list[str]:
    """From dark to light, but never as light as the paper."""
    return [to_hex(color) for color in mpl.colormaps["viridis"](np.linspace(0, 0.8, count))]
