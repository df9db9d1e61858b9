"""Everything that a report shows, from the records and curves of one suite."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from grape_bench.score.cell import Record, cells
from grape_bench.score.overall import overall
from grape_bench.score.performance import profile
from grape_bench.score.ranking import Grid, better
from grape_bench.score.table import score
from grape_bench.score.targets import Curves, time_to


@dataclass(frozen=True)
class Results:
    """The cells by (task, rule); the tables of `score`, `overall`, `better`, `profile` and `time_to`."""

    grid: Grid
    table: pd.DataFrame
    overall: pd.DataFrame
    better: pd.DataFrame
    profile: pd.DataFrame
    targets: pd.DataFrame
    curves: Curves

    @property
    def tasks(self) -> list[str]:
        """In the order of the table."""
        return list(dict.fromkeys(self.table["task"]))

    @property
    def rules(self) -> list[str]:
        """In the order of the table."""
        return list(dict.fromkeys(self.table["rule"]))

    @property
    def records(self) -> list[Record]:
        """All of them, in the order of the table."""
        return [record for cell in self.grid.values() for record in cell.records]


def results(records: Iterable[Record], curves: Curves) -> Results:
    """Score `records`; `curves` holds the rows of curve.csv by record id. Raises UserError as `score` does."""
    every = list(records)
    table = score(every)
    grid = cells(every)
    return Results(grid, table, overall(grid), better(grid), profile(grid), time_to(grid, curves), curves)
