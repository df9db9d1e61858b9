"""One fixed color, line style and marker per rule, in every figure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from grape_bench.record.rule_name import RuleName

# The hues of Okabe and Ito (2008), "Color Universal Design", with a contrast of at least 3 on white.
BLACK, GREY, SILVER = "#000000", "#6e6e6e", "#949494"
ORANGE, SKY, GREEN = "#c27c00", "#2f8fd0", "#00875f"
BLUE, VERMILLION, PURPLE = "#0b3f8c", "#b3320b", "#b3589a"
# The same hues with a contrast of at least 3 on a dark page.
_ON_DARK = {
    BLACK: "#f2f4f6",
    GREY: "#9aa3ab",
    SILVER: "#737c85",
    ORANGE: "#f5b933",
    SKY: "#6cc4ff",
    GREEN: "#1fa67d",
    BLUE: "#4f78e8",
    VERMILLION: "#ef6a3a",
    PURPLE: "#e08cc4",
}

Dash = str | tuple[int, tuple[float, ...]]
SOLID: Dash = "solid"
DASHED: Dash = (0, (4, 1.5))
DOTTED: Dash = (0, (1, 1.2))
DASH_DOT: Dash = (0, (5, 1.5, 1, 1.5))
DASH_DOTS: Dash = (0, (5, 1.5, 1, 1.5, 1, 1.5))
# The same in plotly.js.
DASH_NAMES: dict[Any, str] = {
    SOLID: "solid",
    DASHED: "8px,3px",
    DOTTED: "2px,3px",
    DASH_DOT: "9px,3px,2px,3px",
    DASH_DOTS: "9px,3px,2px,3px,2px,3px",
}
MARKER_NAMES = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
    "*": "star",
    "<": "triangle-left",
    ">": "triangle-right",
    "h": "hexagon",
    "p": "pentagon",
}
OPENED = "p"
"""The marker of rules with open settings."""


class Style(NamedTuple):
    """How a rule is drawn. Rules that share a color differ in marker, and the first ones also in dashes."""

    color: str
    dash: Dash
    marker: str


KNOWN = {
    "bp": Style(BLACK, SOLID, "o"),
    "frozen": Style(SILVER, DOTTED, "X"),
    "head-only": Style(GREY, DASH_DOT, "v"),
    "fa": Style(GREEN, SOLID, "^"),
    "dfa": Style(SKY, SOLID, "o"),
    "dfa+anchor": Style(BLUE, DASHED, "s"),
    "grape": Style(ORANGE, SOLID, "o"),
    "grape+anchor": Style(VERMILLION, DASHED, "s"),
}
_COLORS = (PURPLE, GREEN, BLUE, VERMILLION, SKY, ORANGE)
_DASHES = (DOTTED, DASH_DOT, DASH_DOTS)  # no baseline with one of these colors has them
_MARKERS = ("D", "v", "P", "X", "*", "<", ">", "h")


def styles(rules: Iterable[str]) -> dict[str, Style]:
    """Rule -> style. The baselines always have the same style; other rules get theirs in the given order.

    A rule with open settings has the color of the plain rule, and does not affect other styles.
    """
    given: dict[str, Style] = {}
    others = 0
    every = list(dict.fromkeys(rules))
    closed = {rule: str(RuleName.parse(rule).closed) for rule in every}
    for rule in dict.fromkeys(closed.values()):
        if rule in KNOWN:
            given[rule] = KNOWN[rule]
            continue
        turn, place = divmod(others, len(_COLORS))
        dash = SOLID if others == 0 else _DASHES[turn % len(_DASHES)]  # no baseline is purple
        given[rule] = Style(_COLORS[place], dash, _MARKERS[turn % len(_MARKERS)])
        others += 1
    opened = {rule: Style(given[other].color, DOTTED, OPENED) for rule, other in closed.items() if rule != other}
    return {rule: opened.get(rule) or given[rule] for rule in every}


def on_dark(color: str) -> str:
    """The version of a color for a dark page."""
    return _ON_DARK[color]
