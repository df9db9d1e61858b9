"""The picture of a table: where every seed of every rule ended, and how it got there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from grape_bench.report.atomic import written
from grape_bench.report.columns import labels
from grape_bench.report.palette import BLACK, GREY, Style, styles
from grape_bench.score.cell import Cell, Record, cells

INK, FAINT = "#222222", "#d9d9d9"
LINE_POINTS = 11.5  # from one name to the next below it
LONGEST = 18  # characters of a name
REFERENCES = {"bp": BLACK, "head-only": GREY}
LOOK: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture on every machine
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#666666",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "svg.fonttype": "path",  # a viewer's fonts would move the labels
    "svg.hashsalt": "grape-bench",  # equal input, equal file
}


def draw(
    records: Iterable[Record],
    table: pd.DataFrame,
    path: Path,
    curves: Mapping[str, pd.DataFrame] | None = None,
) -> None:
    """Draw `table` to `path`: SVG, PDF or PNG by its ending; on white, whatever the page behind it is.

    One row per task. Left: test accuracy of every seed, their mean and its 95 % interval, BP and head-only as
    lines through all rules. Right, where `curves` has any (record id -> the rows of curve.csv): validation
    accuracy over epochs, mean over seeds. Raises UserError when the file cannot be written.
    """
    grid = cells(records)
    tasks = list(table["task"].unique())
    style = styles(table["rule"])
    names = {rule: _clipped(label) for rule, label in labels(table["rule"]).items()}
    with mpl.rc_context(LOOK):
        heights = [0.29 * max(6, int((table["task"] == task).sum())) + 1.15 for task in tasks]
        layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.1, wspace=0.04, hspace=0.06)
        figure = Figure(figsize=(10.0 if curves else 6.0, sum(heights)), layout=layout, facecolor="white")
        axes = figure.subplots(len(tasks), 2 if curves else 1, squeeze=False, gridspec_kw={"height_ratios": heights})
        named: list[tuple[Axes, dict[str, pd.Series]]] = []
        for task, row in zip(tasks, axes, strict=True):
            of_task = table[table["task"] == task]
            draw_ends(row[0], grid, of_task, style, names)
            if curves:
                lines = draw_curves(row[1], [grid[task, rule] for rule in of_task["rule"]], curves, style)
                named.append((row[1], lines))
        figure.draw_without_rendering()  # how far apart names must be is known once the axes have their size
        for panel, lines in named:
            name_ends(panel, lines, style, names)
        with written(path) as draft:
            # Without a date two drawings of the same records are the same file.
            metadata = {"Date": None} if path.suffix == ".svg" else None
            figure.savefig(draft, dpi=200, metadata=metadata)


def draw_ends(
    axes: Axes,
    grid: Mapping[tuple[str, str], Cell],
    table: pd.DataFrame,
    style: Mapping[str, Style],
    names: Mapping[str, str],
) -> None:
    """Test accuracy in percent of one task: a line per rule, the first on top."""
    for place, row in enumerate(table.to_dict("records")):
        rule, centre, half = row["rule"], row["accuracy"], row["accuracy_ci"]
        color, _, marker = style[rule]
        if row["n"] == 0:
            _say_status(axes, place, row["status"])
            continue
        if row["n"] > 1:
            axes.plot([centre - half, centre + half], [place] * 2, color=color, linewidth=1.8, zorder=3)
        axes.plot(centre, place, marker, color=color, markersize=7, zorder=4)
        # Seeds below the interval's line: on it they would hide one another and the mean.
        values = list(grid[row["task"], rule].values.values())
        axes.plot(values, [place + 0.32] * len(values), "o", color=color, markersize=2.6, zorder=3)
        if rule in REFERENCES:
            axes.axvline(centre, color=REFERENCES[rule], linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.set_yticks(range(len(table)), [names[rule] for rule in table["rule"]])
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=10, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_title(str(table["task"].iloc[0]), loc="left", fontweight="bold", fontsize=11)
    axes.set_xlabel("test accuracy (%): mean, 95 % interval, seeds")


def draw_curves(
    axes: Axes,
    of_task: Iterable[Cell],
    curves: Mapping[str, pd.DataFrame],
    style: Mapping[str, Style],
) -> dict[str, pd.Series]:
    """Validation accuracy in percent over epochs of one task; the lines drawn, by rule."""
    lines = {
        cell.rule: mean_curve(curves[record["id"]] for record in cell.results if record["id"] in curves)
        for cell in of_task
    }
    lines = {rule: line for rule, line in lines.items() if not line.empty}
    for rule, line in lines.items():
        color, dash, _ = style[rule]
        front = 3 if rule in REFERENCES else 4
        axes.plot(line.index, line.to_numpy(), color=color, linestyle=dash, linewidth=1.7, zorder=front)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_title("validation accuracy (%), mean of seeds", loc="left", fontsize=9.5)
    if lines:
        axes.set_ylim(*window(lines.values()))
    return lines


def mean_curve(curves: Iterable[pd.DataFrame]) -> pd.Series:
    """Mean validation accuracy by epoch, up to the last epoch that every seed reached.

    Beyond it the mean would be over the seeds that did not diverge, and would rise by their leaving.
    """
    columns = [curve.set_index("epoch")["validation_accuracy"].astype(float) for curve in curves]
    if not columns:
        return pd.Series(dtype=float)
    return pd.concat(columns, axis=1, join="inner").dropna().mean(axis=1)


def window(lines: Iterable[pd.Series]) -> tuple[float, float]:
    """The percentages to show: where lines end, and as much again below.

    The first epochs climb through tens of points, which would press the ends, a few apart, into one line.
    """
    every = list(lines)
    top, ends = max(line.max() for line in every), [line.iloc[-1] for line in every]
    depth = max(2 * (top - min(ends)), 5.0)
    low = max(top - depth, min(line.min() for line in every))
    margin = 0.05 * max(top - low, 1.0)
    return low - margin, top + margin


def name_ends(axes: Axes, lines: Mapping[str, pd.Series], style: Mapping[str, Style], names: Mapping[str, str]) -> None:
    """Write each rule's name beside its line's end, moved apart where ends lie close, with a leader."""
    if not lines:
        return
    ordered = sorted(lines, key=lambda rule: float(lines[rule].iloc[-1]))
    low, high = axes.get_ylim()
    last = max(float(line.index[-1]) for line in lines.values())
    first = min(float(line.index[0]) for line in lines.values())
    axes.set_xlim(first - 0.02 * (last - first + 1), last + 0.01 * (last - first + 1))
    ends = [float(lines[rule].iloc[-1]) for rule in ordered]
    heights = spread(ends, gap=(high - low) * LINE_POINTS / _height_in_points(axes), high=high)
    edge = axes.get_yaxis_transform()  # x in widths of the axes, y in percent
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
    """Ascending `values` moved as little as possible (least squares) to be `gap` apart, then below `high`."""
    groups: list[tuple[float, int]] = []  # centre and size of labels that touch
    for value in values:
        centre, size = value, 1
        while groups and groups[-1][0] + gap * (groups[-1][1] + size) / 2 > centre:
            other, count = groups.pop()
            centre, size = (centre * size + other * count) / (size + count), size + count
        groups.append((centre, size))
    moved = [centre + gap * (i - (size - 1) / 2) for centre, size in groups for i in range(size)]
    return [min(height, high - gap * above) for above, height in enumerate(reversed(moved))][::-1]


def _clipped(label: str) -> str:
    # A long class name would take the room of the data; its colour and the table still tell which it is.
    return label if len(label) <= LONGEST else label[: LONGEST - 1] + "…"


def _height_in_points(axes: Axes) -> float:
    return float(axes.get_window_extent().height / axes.figure.dpi * 72)


def _say_status(axes: Axes, place: int, status: str) -> None:
    across = axes.get_yaxis_transform()
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    axes.text(0.02, place, status, transform=across, va="center", color="#666666", style="italic", bbox=box)
