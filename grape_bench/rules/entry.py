"""An entry of the catalog of rules: what is known about one rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Family = Literal[
    "backpropagation",
    "approximate backward",
    "feedback alignment",
    "direct feedback",
    "learned direct feedback",
    "local losses",
    "forward only",
    "targets and energy",
    "in time and on graphs",
    "control",
]
FAMILIES: tuple[Family, ...] = get_args(Family)

Waits = Literal["block above", "output", "second forward", "nothing"]
"""What a block's update waits for after its own forward. `"block above"` means that block's backward pass, and
`"output"` means the error at the network's output."""

EQUATION = "the equation (a literal twin in tests/rules), 2026-11"


Space = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Entry:
    """One rule of the catalog.

    `signal` is the replacement of dL/dh_l, in LaTeX and words. `needs` is what the rule requires beyond one forward and
    the error. `space` holds the settings that its paper tunes, in the form of a suite's `[tuning.rule.NAME]`.
    """

    family: Family
    signal: str
    source: str
    waits: Waits = "output"
    needs: str = ""
    checked: str = EQUATION
    space: Space = field(default_factory=dict)
