"""What all figures share: width, fonts, lines, names, and how a figure is written to a file."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator, NullFormatter

from grape_bench.errors import in_one_line
from grape_bench.record.write import output
from grape_bench.report.glyphs import spelled

WIDTH = 10.0
"""The width of a figure in inches, unless a report asks for another."""
NARROW = 7.5
"""Inches below which a figure is meant for a column of print: its type is smaller, and its panels fewer per row."""

INK, FAINT, SOFT = "#222222", "#d9d9d9", "#666666"
NAME = 18  # characters of a rule's name at most
LOOK: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "text.parse_math": False,  # a name may have dollar signs
    "svg.fonttype": "path",  # the fonts of a viewer would move the labels
    "svg.hashsalt": "grape-bench",  # the same input gives the same file
    "pdf.fonttype": 42,  # keeps text as text
}
# No text is smaller than 7 points. A figure is drawn in its final width, so print does not scale it.
_WIDE = {"font.size": 9.5, "axes.titlesize": 9.5, "legend.fontsize": 9, "xtick.labelsize": 9, "ytick.labelsize": 9.5}
_IN_PRINT = {"font.size": 8, "axes.titlesize": 8, "legend.fontsize": 7.5, "xtick.labelsize": 7, "ytick.labelsize": 7.5}
# Without a date, the same records give the same file.
_METADATA: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def style(width: float) -> dict[Any, Any]:
    """The settings of matplotlib for a figure that is `width` inches wide."""
    return LOOK | (_IN_PRINT if width < NARROW else _WIDE)


def render(make: Callable[[], Figure], path: Path, width: float = WIDTH) -> None:
    """Write the figure that `make` returns to `path`, on white: SVG, PDF or PNG, depending on the extension.

    `width` in inches determines the font sizes.

    Raises UserError if the file cannot be written.
    """
    with mpl.rc_context(style(width)):
        figure = make()
        with output(path) as draft:
            figure.savefig(draft, dpi=200, metadata=_METADATA.get(path.suffix))


def canvas(width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` inches whose parts make room for each other."""
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.03, hspace=0.04)
    return Figure(figsize=(width, height), layout=layout, facecolor="white")


def inches(lines: float) -> float:
    """The height in inches of this many lines of text, with the usual line spacing."""
    return lines * 1.4 * float(mpl.rcParams["font.size"]) / 72


def small() -> float:
    """The size of the smallest text, in points: 8.5, or 7 in print."""
    return max(7.0, float(mpl.rcParams["font.size"]) - 1)


def wrapped(text: str, width: float) -> str:
    """Wrap `text` into lines that fit into `width` inches."""
    letter = 0.6 * float(mpl.rcParams["font.size"]) / 72  # inches per letter, on average
    return textwrap.fill(text, max(12, int(width / letter)), break_long_words=False)


def names(labels: Mapping[str, str]) -> dict[str, str]:
    """Rule -> the name that a figure shows, from its label."""
    # A long class name would leave no room for the data. Its color and the table still identify the rule.
    return {rule: plain(label, NAME) for rule, label in labels.items()}


def plain(text: str, longest: int = 60) -> str:
    """`text` for a figure: one short line, with numbers for characters that the font lacks."""
    shown = spelled(in_one_line(text), _has_glyph)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _has_glyph(character: str) -> bool:
    return ord(character) in _glyphs()


@cache
def _glyphs() -> frozenset[int]:
    with mpl.rc_context(LOOK):
        return frozenset(get_font(findfont(FontProperties())).get_charmap())


def heading(axes: Axes, text: str) -> None:
    """Set the title of a panel."""
    axes.set_title(text, loc="left", fontweight="bold", fontsize=float(mpl.rcParams["font.size"]) + 1)


def logarithmic(axes: Axes, which: Literal["x", "y"], steps: Sequence[int] = (1, 2, 5)) -> None:
    """Make an axis logarithmic, with plain numbers at these `steps` of each power of ten.

    The default labels are formulas, which the figures do not render.
    """
    axes.set(**{f"{which}scale": "log"})
    axis: Axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def grid(axes: Axes, axis: Any = "both") -> None:
    """Draw faint lines behind the data."""
    axes.grid(axis=axis, color=FAINT, linewidth=0.6)
