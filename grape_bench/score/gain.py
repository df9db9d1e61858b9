"""What tuning gains: a rule with the settings that its search chose against the suite's own, on the same seeds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from grape_bench.record.record import Record
from grape_bench.record.rule_name import FROZEN
from grape_bench.score.cell import Cell, Grid, cells, differences
from grape_bench.score.inference import Interval, interval


@dataclass(frozen=True)
class Gain:
    """One rule on one task. `difference` is tuned - untuned in score, paired by seed."""

    tuned: Cell
    untuned: Cell

    @property
    def difference(self) -> Interval:
        """The mean over the common seeds, with its 95 % Student-t interval."""
        return interval(differences(self.tuned, self.untuned))


def gains(grid: Grid, untuned: Iterable[Record]) -> list[Gain]:
    """The gain of each tuned cell of `grid` whose rule also ran with the suite's own settings, in the grid's order."""
    others = cells(untuned)
    return [
        Gain(cell, others[key])
        for key, cell in grid.items()
        if key in others and cell.trials > 1 and cell.rule != FROZEN and differences(cell, others[key])
    ]
