"""One-sided tests: is a rule above its control, or BP above a reference?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from grape_bench.score.cell import Cell, common_seeds, looks_of
from grape_bench.score.inference import half_width, mean, one_sided

NORMAL = 1.645  # one-sided 95 %: only a lead upwards is asked for
ROUNDING = 1e-9  # of a score: equal runs may differ in their last digits
FEW = 3
"""The fewest seeds whose spread is used. With fewer, each must exceed the error of the test samples."""


@dataclass(frozen=True)
class Lead:
    """The mean difference of two cells over `n` common seeds, and `width`, the half-width of its noise.

    `each` holds a difference and its width per seed.
    """

    mean: float
    width: float
    n: int
    each: tuple[tuple[float, float], ...]

    @property
    def above(self) -> bool:
        """True if the first cell is resolved to be above the second."""
        return self.mean > self.width if self.n >= FEW else bool(self.each) and all(a > b for a, b in self.each)

    def below(self, limit: float) -> bool:
        """True if the lead is resolved to be smaller than `limit`."""
        if self.n >= FEW:
            return self.mean + self.width < limit
        return bool(self.each) and all(a + b < limit for a, b in self.each)

    @property
    def text(self) -> str:
        """`+20.00 ± 1.69`, or a pair of numbers per seed if there are fewer than three."""
        pairs = [(self.mean, self.width)] if self.n >= FEW else self.each
        return ", ".join(f"{a:+.2f} ± {b:.2f}" for a, b in pairs)


def lead(first: Cell, second: Cell) -> Lead:
    """`first` - `second` in score, paired by seed.

    The width is the larger of two. One comes from the spread of the seeds (Student's t). The other is the sampling
    error of the test samples: all seeds share them, so agreement between seeds does not shrink it.
    """
    seeds = common_seeds((first, second))
    differences = [first.scores[seed] - second.scores[seed] for seed in seeds]
    errors = [NORMAL * math.hypot(first.sampling_error(seed), second.sampling_error(seed)) for seed in seeds]
    spread = half_width(differences, one_sided(looks_of(first, second)))
    width = max(spread, mean(errors)) if len(seeds) >= FEW else math.nan
    return Lead(mean(differences), width, len(seeds), tuple(zip(differences, errors, strict=True)))


def resolved(high: Mapping[int, float], low: Mapping[int, float], looks: int) -> bool:
    """True if `high` (seed -> score) is resolved to be above `low` over their common seeds, by the seeds alone.

    A quotient over `high` - `low` means nothing otherwise. One seed resolves nothing. `looks` is that of the cells.
    """
    differences = [high[seed] - low[seed] for seed in sorted(high.keys() & low.keys())]
    rounding = ROUNDING * max(map(abs, low.values()), default=0.0)
    return mean(differences) > half_width(differences, one_sided(looks)) + rounding


def above_chance(cell: Cell | None, other: Cell | None = None) -> bool:
    """True if the cell is resolved to be above guessing, on the seeds that `other` has too.

    A single seed only has to be above it.
    """
    if cell is None:
        return False
    scores = {seed: score for seed, score in cell.scores.items() if other is None or seed in other.scores}
    if len(scores) < 2:
        return mean(scores.values()) > cell.chance
    return resolved(scores, dict.fromkeys(scores, cell.chance), cell.looks)
