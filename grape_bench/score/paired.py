"""Two rules on the same seeds: their differences, and the positions of runs between their references."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grape_bench.score.cell import Cell
from grape_bench.score.interval import mean


def common_seeds(group: Sequence[Cell | None]) -> list[int]:
    """The seeds with a result in every cell, ascending; none where a cell is missing."""
    seeds = [set(cell.scores) if cell else set() for cell in group]
    return sorted(set.intersection(*seeds)) if seeds else []


def means(*group: Cell | None) -> list[float]:
    """Mean score of every cell over the seeds that all of them have; NaN where one is missing."""
    seeds = common_seeds(group)
    return [mean(cell.scores[seed] for seed in seeds) if cell else float("nan") for cell in group]


def differences(first: Cell, second: Cell) -> list[float]:
    """`first` - `second` in score, for every seed that both have, by seed."""
    one, other = first.scores, second.scores
    return [one[seed] - other[seed] for seed in common_seeds((first, second))]


def aligned(*group: Cell) -> list[np.ndarray]:
    """The scores of every cell over the seeds that all have, as arrays (seeds,)."""
    seeds = common_seeds(group)
    return [np.array([cell.scores[seed] for seed in seeds]) for cell in group]
