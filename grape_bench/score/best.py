"""Which rules cannot be told from the best one: the bold ones of a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from grape_bench.score.cell import Cell
from grape_bench.score.interval import mean
from grape_bench.score.paired import differences
from grape_bench.score.significance import LEVEL, holm, paired_t


class Standing(NamedTuple):
    """A rule beside the best: `p` of their difference (Holm-adjusted, 1 for the best), and whether it is bold."""

    p: float
    best: bool


def of_task(cells: Sequence[Cell]) -> dict[str, Standing]:
    """The standing of every rule with a result on one task.

    Student's paired t-test over seeds, whose assumption the cell's interval makes too: a sign-flip test of three
    seeds cannot go below 0.25, whatever they show.
    """
    scored = [cell for cell in cells if cell.scores]
    if not scored:
        return {}
    best = max(scored, key=lambda cell: (mean(cell.scores.values()), cell.rule))
    tests = {cell.rule: paired_t(differences(cell, best)) for cell in scored if cell is not best}
    return standings(best.rule, tests, {cell.rule for cell in scored if cell.diverged})


def standings(best: str, tests: Mapping[str, float], diverged: set[str]) -> dict[str, Standing]:
    """Bold are the best and what is not resolved from it, by the uncorrected `tests` of all others against it.

    No rule is bold where none is resolved from the best: that would say nothing. A rule with a diverged seed is
    bold only as the best: its spread, and with it p, grew by the divergence, and it must not gain from that.
    """
    adjusted = holm(tests)
    resolved = any(p <= LEVEL for p in adjusted.values())
    others = {
        rule: Standing(p, resolved and rule not in diverged and not math.isnan(p) and p > LEVEL)
        for rule, p in adjusted.items()
    }
    return {best: Standing(1.0, resolved), **others}
