"""The depth ladder: how many blocks BP must train to reach what a rule reaches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from grape_bench.record.record import Record
from grape_bench.score.cell import Cell, Grid
from grape_bench.score.inference import mean

Rung = tuple[int, float]
"""The number of trained blocks, and the score."""


def blocks_worth(grid: Grid, task: str, rule: str) -> float:
    """How many trained blocks of BP give the mean score of `rule` on `task`. NaN without a ladder.

    The rungs are `head-only` (0 blocks), `last-1`, `last-2` ..., and `bp` (all blocks). All means are over the seeds
    that the rule and every rung have. Between two rungs the number is interpolated.
    """
    own = grid.get((task, rule))
    others = [cell for (name, _), cell in grid.items() if name == task and not cell.is_open]
    rungs = {count: cell for cell in others if (count := _blocks(cell)) is not None}
    if own is None or not any(_is_rung(cell) for cell in rungs.values()):
        return math.nan
    seeds = set(own.scores).intersection(*(cell.scores for cell in rungs.values()))
    if not seeds:
        return math.nan

    def score(cell: Cell) -> float:
        return mean(cell.scores[seed] for seed in sorted(seeds))

    return climbed([(count, score(cell)) for count, cell in sorted(rungs.items())], score(own))


def climbed(ladder: Sequence[Rung], score: float) -> float:
    """The smallest number of blocks at which `ladder` (sorted) reaches `score`, linear between rungs.

    A score below the lowest rung gets the blocks of that rung. A score that no rung reaches gets infinity.
    """
    # Example: 0 blocks 60 %, 1 block 80 %, 4 blocks 90 %. A rule at 85 % is worth 1 + 3 · 5 / 10 = 2.5 blocks.
    if score <= ladder[0][1]:
        return float(ladder[0][0])
    for (few, low), (many, high) in pairwise(ladder):
        if low < score <= high:
            return few + (many - few) * (score - low) / (high - low)
    return math.inf


def _blocks(cell: Cell) -> int | None:
    """The number of blocks that BP trains in this cell; None if it is no rung."""
    described = [record for record in cell.results if record.network]
    if not described:
        return None
    whole = _count(described[0])
    if _is_rung(cell):
        return min(int(described[0].job.rule_settings["blocks"]), whole)
    return {"head-only": 0, "bp": whole}.get(cell.rule)


def _count(record: Record) -> int:
    return len(record.network.blocks) if record.network else 0


def _is_rung(cell: Cell) -> bool:
    return cell.rule.startswith("last-") and type(cell.records[0].job.rule_settings.get("blocks")) is int
