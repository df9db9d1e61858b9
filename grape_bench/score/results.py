"""Everything that a report shows, computed from the records and curves of one suite."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from grape_bench.record.record import Record
from grape_bench.score.cell import Grid, cells
from grape_bench.score.metric import DEFAULT, Metric
from grape_bench.score.overall import better, overall, performance_profile
from grape_bench.score.table import score
from grape_bench.score.targets import Curves, time_to


@dataclass(frozen=True)
class Results:
    """The cells, and the tables of `score`, `overall`, `better`, `performance_profile` and `time_to`."""

    grid: Grid
    table: pd.DataFrame
    overall: pd.DataFrame
    better: pd.DataFrame
    profile: pd.DataFrame  # the performance profile
    targets: pd.DataFrame
    curves: Curves
    diagnostics: Curves

    @property
    def tasks(self) -> list[str]:
        """The tasks, in the order of the table."""
        return list(dict.fromkeys(self.table["task"]))

    @property
    def rules(self) -> list[str]:
        """The rules, in the order of the table."""
        return list(dict.fromkeys(self.table["rule"]))

    def metric(self, task: str) -> Metric:
        """The metric of `task`."""
        found = [cell.metric for (name, _), cell in self.grid.items() if name == task and cell.results]
        return found[0] if found else DEFAULT

    @property
    def records(self) -> list[Record]:
        """All records, in the order of the table."""
        return [record for cell in self.grid.values() for record in cell.records]


NONE: Curves = MappingProxyType({})


def results(records: Iterable[Record], curves: Curves = NONE, diagnostics: Curves = NONE) -> Results:
    """Score `records`. `curves` and `diagnostics` map a record id to the rows of its curve.csv and diagnostics.csv.

    Raises UserError like `score`.
    """
    every = list(records)
    table = score(every)
    grid = cells(every)
    return Results(
        grid=grid,
        table=table,
        overall=overall(grid),
        better=better(grid),
        profile=performance_profile(grid),
        targets=time_to(grid, curves),
        curves=curves,
        diagnostics=diagnostics,
    )
