"""Everything that a report shows, from the records and curves of one suite."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from grape_bench.record.record import Record
from grape_bench.score.cell import cells
from grape_bench.score.metric import METRICS, Metric
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
    diagnostics: Curves

    @property
    def tasks(self) -> list[str]:
        """In the order of the table."""
        return list(dict.fromkeys(self.table["task"]))

    @property
    def rules(self) -> list[str]:
        """In the order of the table."""
        return list(dict.fromkeys(self.table["rule"]))

    def metric(self, task: str) -> Metric:
        """What `task` is scored by."""
        found = [cell.metric for (name, _), cell in self.grid.items() if name == task and cell.results]
        return found[0] if found else METRICS["accuracy"]

    @property
    def records(self) -> list[Record]:
        """All of them, in the order of the table."""
        return [record for cell in self.grid.values() for record in cell.records]


NONE: Curves = MappingProxyType({})


def results(records: Iterable[Record], curves: Curves = NONE, diagnostics: Curves = NONE) -> Results:
    """Score `records`; `curves` and `diagnostics` hold the rows of curve.csv and diagnostics.csv by record id.

    Raises UserError as `score` does.
    """
    every = list(records)
    table = score(every)
    grid = cells(every)
    return Results(
        grid=grid,
        table=table,
        overall=overall(grid),
        better=better(grid),
        profile=profile(grid),
        targets=time_to(grid, curves),
        curves=curves,
        diagnostics=diagnostics,
    )
