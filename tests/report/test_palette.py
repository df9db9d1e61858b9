import re
from itertools import combinations

import pytest
from matplotlib.colors import to_rgb

from grape_bench.report import page
from grape_bench.report.palette import DASH_NAMES, KNOWN, MARKER_NAMES, on_dark, styles
from tests.score.records import RULES

OTHERS = [f"rule-{i}" for i in range(38)]
CARDS = dict(zip(("light", "dark"), re.findall(r"--card: (#\w+)", page.style())[:2], strict=True))


def linear(color: str) -> list[float]:
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]


def luminance(color: str) -> float:
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear(color), strict=True))


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2: from 1, equal, to 21, black on white. Graphics need 3."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def distance(one: str, other: str) -> float:
    """In CIE Lab; 2 is just noticeable side by side, 20 is two colors."""

    def lab(color: str) -> tuple[float, float, float]:
        r, g, b = linear(color)
        x, y, z = (
            v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116
            for v in (
                (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505,
                0.2126 * r + 0.7152 * g + 0.0722 * b,
                (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089,
            )
        )
        return 116 * y - 16, 500 * (x - y), 200 * (y - z)

    return sum((a - b) ** 2 for a, b in zip(lab(one), lab(other), strict=True)) ** 0.5


def test_a_baseline_looks_the_same_in_every_figure() -> None:
    assert styles(["bp", "grape"])["grape"] == styles(RULES)["grape"] == styles(["my-rule", "grape"])["grape"]
    assert set(KNOWN) == set(RULES)


def test_open_settings_have_the_color_of_their_rule_and_change_no_other_style() -> None:
    alone, beside = styles(["bp", "mine"]), styles(["bp", "bp:open", "mine", "mine:open"])
    assert list(beside) == ["bp", "bp:open", "mine", "mine:open"]
    assert {rule: beside[rule] for rule in alone} == alone
    for rule in alone:
        assert beside[f"{rule}:open"].color == alone[rule].color and beside[f"{rule}:open"] != alone[rule]


@pytest.mark.parametrize("scheme", CARDS)
def test_every_color_stands_out_from_its_background(scheme: str) -> None:
    for rule, style in styles([*RULES, *OTHERS]).items():
        color = style.color if scheme == "light" else on_dark(style.color)
        assert contrast(color, CARDS[scheme]) >= 3, (rule, color)


@pytest.mark.parametrize("scheme", CARDS)
def test_the_colors_of_baselines_are_not_shades_of_one(scheme: str) -> None:
    shown = {rule: style.color if scheme == "light" else on_dark(style.color) for rule, style in KNOWN.items()}
    for one, other in combinations(shown, 2):
        dashes = KNOWN[one].dash != KNOWN[other].dash and KNOWN[one].marker != KNOWN[other].marker
        assert distance(shown[one], shown[other]) >= (10 if dashes else 20), (one, other)


def test_forty_rules_differ_in_color_or_marker_and_sixteen_in_their_lines() -> None:
    every = styles([*RULES, *OTHERS])
    assert len({(style.color, style.marker) for style in every.values()}) == len(every) == 46
    first = [every[rule] for rule in [*RULES, *OTHERS[:16]]]
    assert len({(style.color, style.dash) for style in first}) == len(first)


def test_the_page_knows_every_dash_and_marker() -> None:
    for style in styles([*RULES, *OTHERS]).values():
        assert style.dash in DASH_NAMES and style.marker in MARKER_NAMES
