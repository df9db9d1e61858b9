"""Where an accuracy lies between two references: 0 at the lower, 1 at BP; never clipped.

Below 0 means worse than the lower reference, above 1 better than BP; both happen, and a clipped score would
hide it. A missing input is NaN and gives NaN, and so do references that coincide.
"""

from __future__ import annotations

import math


def norm_acc(accuracy: float, *, chance: float, bp: float) -> float:
    """(accuracy - chance) / (BP - chance): 0 is guessing, 1 is BP. All in percent."""
    return _position(accuracy, chance, bp)


def credit(accuracy: float, *, head_only: float, bp: float) -> float:
    """(accuracy - head-only) / (BP - head-only): 0 is hidden layers that learned nothing. In percent."""
    return _position(accuracy, head_only, bp)


def gap_closed(accuracy: float, *, dfa: float, bp: float) -> float:
    """(accuracy - DFA) / (BP - DFA): the part of DFA's distance to BP that a rule makes up. In percent."""
    return _position(accuracy, dfa, bp)


def _position(value: float, low: float, high: float) -> float:
    return math.nan if high == low else (value - low) / (high - low)
