"""Checks that a figure is readable: no text overlaps another or is cut off, and none is too small."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

SMALLEST = 7.0
"""Points. Smaller type in a figure cannot be read in print."""


def faults(figure: Figure) -> list[str]:
    """What is wrong with the texts of a figure, which is drawn for it."""
    figure.draw_without_rendering()
    shown = list(_boxes(figure))
    small = [f"{words!r} has {size:g} points" for _, words, size in shown if size < SMALLEST - 1e-6]
    every = [(words, _shrunk(text.get_window_extent())) for text, words, _ in shown]
    edge = figure.bbox
    beyond = [
        f"{text!r} leaves the figure"
        for text, box in every
        if box.x0 < edge.x0 - 1 or box.y0 < edge.y0 - 1 or box.x1 > edge.x1 + 1 or box.y1 > edge.y1 + 1
    ]
    over = [f"{one!r} lies over {other!r}" for (one, a), (other, b) in combinations(every, 2) if a.overlaps(b)]
    return small + beyond + over


def covered(axes: Axes) -> list[str]:
    """The texts in a panel that lie over a marker of its data."""
    spots = [
        (x, y)
        for line in axes.lines
        if line.get_marker() not in ("", "None", None)
        for x, y in line.get_transform().transform(line.get_xydata())
    ]
    boxes = [(text.get_text(), _shrunk(text.get_window_extent())) for text in axes.texts if text.get_text()]
    return [text for text, box in boxes if any(box.contains(x, y) for x, y in spots)]


def _shrunk(box: Bbox) -> Bbox:
    return box.padded(-0.5) if min(box.width, box.height) > 2 else box


def _boxes(figure: Figure) -> Iterator[tuple[Text, str, float]]:
    """Each text that is drawn, with its words and its size."""
    hidden = {id(label) for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in _undrawn(axes, axis)}
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if text.get_visible() and text.get_text().strip() and id(text) not in hidden:
            yield text, text.get_text(), float(text.get_fontsize())


def _undrawn(axes: Axes, axis: Axis) -> Iterator[Text]:
    """The labels that matplotlib keeps but does not draw: of ticks outside the axis, and of axes switched off."""
    low, high = sorted(axis.get_view_interval())
    slack = 1e-9 * (high - low)
    off = not axes.axison or not axis.get_visible()
    for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
        if off or not low - slack <= tick.get_loc() <= high + slack:
            yield from (tick.label1, tick.label2)
    if off:
        yield from (axis.label, axis.offsetText)
