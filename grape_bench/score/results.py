"""Everything that a report shows, computed from the records and curves of one suite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import pandas as pd

from grape_bench.record.record import Record
from grape_bench.record.rule_name import FROZEN, HEAD_ONLY, RuleName
from grape_bench.score.alignment import NULL, Maps, maps
from grape_bench.score.cell import Grid, cells
from grape_bench.score.equal_cost import EqualCost, equal_cost
from grape_bench.score.gain import Gain, gains
from grape_bench.score.labels import NO_NAMES, Names, labels
from grape_bench.score.metric import DEFAULT, Metric
from grape_bench.score.open_rows import without_open
from grape_bench.score.overall import better, overall, performance_profile
from grape_bench.score.table import score
from grape_bench.score.time_to_result import Curves, time_to
from grape_bench.score.verdict import over_tasks

CONTROL = "control"


@dataclass(frozen=True)
class Results:
    """The cells, and the tables of `score`, `overall`, `better`, `performance_profile` and `time_to`.

    The tables may leave out some rules of the grid (see `only`). Open rows are in `table` and `targets` only, because
    the others rank rules. `equal` is the comparison at equal cost, if one was asked for.
    """

    grid: Grid
    table: pd.DataFrame
    overall: pd.DataFrame
    better: pd.DataFrame
    profile: pd.DataFrame  # the performance profile
    targets: pd.DataFrame
    curves: Curves
    diagnostics: Curves
    gains: Sequence[Gain] = ()  # of tuning
    equal: EqualCost | None = None

    @property
    def tasks(self) -> list[str]:
        """The tasks, in the order of the table."""
        return list(dict.fromkeys(self.table["task"]))

    @property
    def rules(self) -> list[str]:
        """The rules, in the order of the table."""
        return list(dict.fromkeys(self.table["rule"]))

    @property
    def ranked(self) -> list[str]:
        """The rules without open rows, in the order of the table."""
        return [rule for rule in self.rules if not RuleName.parse(rule).is_open]

    @property
    def names(self) -> dict[str, str]:
        """The label of each rule, in the order of the table."""
        return labels(self.rules, self.table.attrs.get("names", NO_NAMES))

    def verdict(self, rule: str) -> str:
        """The verdicts of a rule over its tasks, and `control` for a control, whose hidden layers are untrained."""
        if rule in (FROZEN, HEAD_ONLY):
            return CONTROL
        rows = self.table[self.table["rule"] == rule]
        return over_tasks(rows["verdict"]) if "verdict" in rows else ""

    def only(self, rules: Sequence[str]) -> Results:
        """The tables of these rules alone, in this order. All cells stay in the grid: scores depend on them."""
        chosen = [(task, rule) for task in self.tasks for rule in rules if (task, rule) in self.grid]
        table = self.table.set_index(["task", "rule"], drop=False).loc[chosen].reset_index(drop=True)
        table.attrs = dict(self.table.attrs)
        overall = _of(self.overall, rules)
        overall.attrs["left_out"] = [rule for rule in self.overall.attrs.get("left_out", []) if rule in rules]
        return replace(
            self,
            table=table,
            overall=overall,
            better=self.better.loc[list(rules), list(rules)],
            profile=self.profile[[rule for rule in rules if rule in self.profile]],
            targets=_of(self.targets, rules),
            gains=[one for one in self.gains if one.tuned.rule in rules],
        )

    def metric(self, task: str) -> Metric:
        """The metric of `task`."""
        found = [cell.metric for (name, _), cell in self.grid.items() if name == task and cell.results]
        return found[0] if found else DEFAULT

    @cached_property
    def alignment(self) -> Maps:
        """The alignment of each block over training, by (task, rule)."""
        return maps(self.grid, self.diagnostics)

    @cached_property
    def null_alignment(self) -> Maps:
        """The size of the same cosine for fresh random feedback."""
        return maps(self.grid, self.diagnostics, NULL)

    @property
    def records(self) -> list[Record]:
        """All records, in the order of the table."""
        return [record for cell in self.grid.values() for record in cell.records]


NONE: Curves = MappingProxyType({})


def _of(table: pd.DataFrame, rules: Sequence[str]) -> pd.DataFrame:
    """The rows of `rules`. An empty table stays as it is."""
    return table if table.empty else table[table["rule"].isin(rules)].reset_index(drop=True)


def results(
    records: Iterable[Record],
    curves: Curves = NONE,
    diagnostics: Curves = NONE,
    *,
    given: Names = NO_NAMES,
    untuned: Iterable[Record] = (),
    at: str | None = None,
) -> Results:
    """Score `records`. `curves` and `diagnostics` map a record id to the rows of its curve.csv and diagnostics.csv.

    `given` maps rules to labels. `untuned` holds records of the same rules with the suite's own settings, which show
    what tuning gains. `at` names the cost of a comparison at equal cost.

    Raises UserError like `score` and `equal_cost`.
    """
    every = list(records)
    table = score(every, given=given)
    grid = cells(every)
    ranked = without_open(grid)
    return Results(
        grid=grid,
        table=table,
        overall=overall(ranked, given),
        better=better(ranked),
        profile=performance_profile(ranked),
        targets=time_to(grid, curves),
        curves=curves,
        diagnostics=diagnostics,
        gains=gains(grid, untuned),
        equal=equal_cost(grid, curves, at) if at else None,
    )
