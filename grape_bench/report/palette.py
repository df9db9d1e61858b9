"""One fixed color and line style per rule, in every figure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from grape_bench.record.rule_name import RuleName

# Okabe and Ito (2008), "Color Universal Design", without yellow, which vanishes on white.
BLACK, GREY, SILVER = "#000000", "#8c8c8c", "#b8b8b8"
ORANGE, SKY, GREEN = "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

KNOWN = {
    "bp": BLACK,
    "frozen": SILVER,
    "head-only": GREY,
    "fa": GREEN,
    "dfa": SKY,
    "dfa+anchor": BLUE,
    "grape": ORANGE,
    "grape+anchor": VERMILLION,
}
OTHERS = (PURPLE, GREEN, BLUE, VERMILLION, SKY, ORANGE)
DASHES = ("solid", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
MARKERS = ("o", "s", "^", "D")
# The same in plotly.js.
DASH_NAMES: dict[Any, str] = dict(zip(DASHES, ("solid", "dash", "dot", "dashdot"), strict=True))
MARKER_NAMES = dict(zip(MARKERS, ("circle", "square", "triangle-up", "diamond"), strict=True))
# Lighter versions of the colors that are too dark for a dark page.
_ON_DARK = {BLACK: "#f2f4f6", GREY: "#a6adb4", BLUE: "#4aa8ea", VERMILLION: "#ff8a3d", GREEN: "#2cc79a"}


class Style(NamedTuple):
    """How a rule is drawn. Rules that share a color differ in marker and dashes."""

    color: str
    dash: str | tuple[int, tuple[float, ...]]
    marker: str


def styles(rules: Iterable[str]) -> dict[str, Style]:
    """Rule -> style. The baselines always have the same style; other rules get theirs in the given order.

    A rule with open settings has the color of the rule, and changes no other style.
    """
    given: dict[str, Style] = {}
    others = 0
    every = list(dict.fromkeys(rules))
    closed = {rule: str(RuleName.parse(rule).closed) for rule in every}
    for rule in dict.fromkeys(closed.values()):
        if rule in KNOWN:
            given[rule] = Style(KNOWN[rule], DASHES[0], MARKERS[0])
            continue
        # The first one has purple to itself. The rest reuse the baselines' colors with other dashes and markers.
        turn = 0 if others == 0 else 1 + (others - 1) // (len(OTHERS) - 1) % (len(DASHES) - 1)
        color = OTHERS[0] if others == 0 else OTHERS[1 + (others - 1) % (len(OTHERS) - 1)]
        given[rule] = Style(color, DASHES[turn], MARKERS[turn])
        others += 1
    opened = {rule: Style(given[other].color, DASHES[2], MARKERS[3]) for rule, other in closed.items() if rule != other}
    return {rule: opened.get(rule) or given[rule] for rule in every}


def on_dark(color: str) -> str:
    """The version of a color for a dark page."""
    return _ON_DARK.get(color, color)
