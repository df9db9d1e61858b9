"""Everything that a report shows, computed from the records and curves of one suite."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median
from types import MappingProxyType
from typing import Any

import pandas as pd

from grape_bench.record.record import Record
from grape_bench.record.rule_name import FROZEN, HEAD_ONLY, RuleName
from grape_bench.record.status import Status
from grape_bench.score.alignment import NULL, Maps, maps
from grape_bench.score.cell import Cell, Grid, by_task, cells, hardware_classes
from grape_bench.score.equal_cost import EqualCost, equal_cost
from grape_bench.score.gain import Gain, gains
from grape_bench.score.inference import mean
from grape_bench.score.labels import NO_NAMES, Names, labels
from grape_bench.score.metric import DEFAULT, Metric
from grape_bench.score.open_rows import without_open
from grape_bench.score.overall import better, overall, performance_profile
from grape_bench.score.references import References
from grape_bench.score.table import score
from grape_bench.score.verdict import over_tasks

SHARES = (0.5, 0.8, 0.95, 1.0)
CONTROL = "control"
Curves = Mapping[str, pd.DataFrame]


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


def time_to(grid: Grid, curves: Curves) -> pd.DataFrame:
    """One row per task, rule and share of BP's gain: target, samples, seconds, reached, n.

    The gain is BP's final validation score - the control's, each a mean over seeds. `target` is the validation value
    (accuracy in percent, perplexity ...) at a share of the gain. A seed's time is its first evaluation at or above the
    target. `samples` and `seconds` are medians over seeds; a seed that never reached the target counts as infinite,
    and an infinite median is NaN. A diverged seed counts as never, even if it reached the target before. `seconds` is
    NaN unless the rule ran on BP's hardware class. The table is empty if BP or the control has no curve.
    """
    rows = []
    paths = _Paths(curves)
    for task, part in by_task(grid).items():
        bp, control = part.get((task, "bp")), References.of(part, task).control
        low, high = (paths.final(reference) if reference else math.nan for reference in (control, bp))
        for cell in part.values():
            runs = [record for record in cell.results if record.id in curves or record.status is Status.DIVERGED]
            if runs and high > low:
                for share in SHARES:
                    target = low + share * (high - low)
                    rows.append({"task": task, "rule": cell.rule, "share": share, **paths.times(cell, runs, target)})
                    if len(hardware_classes(cell, bp, part)) > 1:
                        rows[-1]["seconds"] = math.nan
    return pd.DataFrame(rows)


class _Paths:
    """The validation scores of each record along its curve, cached so that each curve is read once for all shares."""

    def __init__(self, curves: Curves) -> None:
        self._curves = curves
        self._known: dict[str, list[tuple[float, float, float]]] = {}  # score, samples, seconds

    def final(self, cell: Cell) -> float:
        """Mean over seeds of the last validation score. A diverged seed counts as chance."""
        ends = [
            cell.chance if record.status is Status.DIVERGED else self._of(cell, record)[-1][0]
            for record in cell.results
            if record.status is Status.DIVERGED or record.id in self._curves
        ]
        return mean(float(end) for end in ends)

    def times(self, cell: Cell, runs: list[Record], target: float) -> dict[str, Any]:
        """One row: when the `runs` reach the target."""
        reached = [self._first(cell, record, target) for record in runs]
        middle = [median(time[i] for time in reached) for i in (0, 1)]
        return {
            "target": cell.metric.value(target),
            "samples": middle[0] if math.isfinite(middle[0]) else math.nan,
            "seconds": middle[1] if math.isfinite(middle[1]) else math.nan,
            "reached": sum(math.isfinite(samples) for samples, _ in reached),
            "n": len(runs),
        }

    def _first(self, cell: Cell, record: Record, target: float) -> tuple[float, float]:
        """Samples and seconds of the first evaluation at or above the target; infinite if there is none."""
        if record.status is not Status.DIVERGED:
            for score, samples, seconds in self._of(cell, record):
                if score >= target:
                    return samples, seconds
        return math.inf, math.inf

    def _of(self, cell: Cell, record: Record) -> list[tuple[float, float, float]]:
        if record.id not in self._known:
            curve = self._curves[record.id]
            scores = cell.metric.validation(curve).map(cell.metric.score)
            columns = (scores, curve["samples"], curve["seconds"])
            self._known[record.id] = list(zip(*(column.astype(float).tolist() for column in columns), strict=True))
        return self._known[record.id]
