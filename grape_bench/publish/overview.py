"""The first page of the leaderboard: for each suite, the credit of every rule on every task, with verdict and cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from grape_bench.record.rule_name import RuleName
from grape_bench.rules.catalog import entry_of
from grape_bench.score.columns import COLUMN
from grape_bench.score.inference import mean
from grape_bench.score.labels import in_rows, labels
from grape_bench.score.open_rows import marked
from grape_bench.score.quantity import ABSENT, number
from grape_bench.score.results import Results
from grape_bench.score.verdict import TRAINED

Rows = dict[str, dict[Any, Any]]
"""Task -> the row of the table for one rule."""

OTHER = "submitted"
"""The family of a rule that does not ship with grape-bench."""


@dataclass(frozen=True)
class TaskCredit:
    """The credit of a rule on one task. `strength` is its color, from -1 to 1. `verdict` is empty if it trained."""

    text: str
    strength: float | None
    verdict: str


@dataclass(frozen=True)
class Line:
    """One rule of a suite. `reads_weights` says whether its backward uses the forward weights, as BP's does.

    `credit` is the mean credit and `step` the mean of step ÷ BP, each over the `common` tasks.
    """

    name: str
    family: str
    reads_weights: bool
    credit: str
    step: str
    entries: tuple[TaskCredit, ...]


def lines(results: Results) -> list[Line]:
    """The rules of a suite, those with the highest mean credit first. Rules without any credit come last.

    An open row comes right below its rule, whatever its credit is.
    """
    names = marked(labels(results.rules))
    by_rule = {rule: _of_rule(results, rule) for rule in results.rules}
    tasks = common([rows for rule, rows in by_rule.items() if not RuleName.parse(rule).is_open])
    credits = {rule: _mean_over(tasks, rows, "credit") for rule, rows in by_rule.items()}
    order = in_rows(sorted(results.rules, key=lambda rule: (math.isnan(credits[rule]), -credits[rule])))
    return [
        Line(
            name=names[rule],
            family=_family(rule),
            reads_weights=_reads_weights(results, rule),
            credit=number(credits[rule], COLUMN["credit"].format),
            step=number(_mean_over(tasks, by_rule[rule], "step_ratio"), COLUMN["step_ratio"].format),
            entries=tuple(_entry(by_rule[rule].get(task)) for task in results.tasks),
        )
        for rule in order
    ]


def common(rules: Sequence[Rows]) -> list[str]:
    """The tasks on which each of `rules` has a credit. Means over other tasks would not compare the rules."""
    own = [{task for task, row in rows.items() if not _missing(row.get("credit"))} for rows in rules]
    return [task for task in (rules[0] if rules else ()) if all(task in tasks for tasks in own)]


def families(boards: Mapping[str, list[Line]]) -> list[str]:
    """Every family on the page, in the order of its lines."""
    return list(dict.fromkeys(line.family for board in boards.values() for line in board))


def _of_rule(results: Results, rule: str) -> Rows:
    return {row["task"]: row for row in results.table[results.table["rule"] == rule].to_dict("records")}


def _mean_over(tasks: Iterable[str], rows: Rows, column: str) -> float:
    values: list[Any] = [rows.get(task, {}).get(column) for task in tasks]
    return math.nan if any(map(_missing, values)) else mean(map(float, values))


def _missing(value: Any) -> bool:
    return value is None or bool(pd.isna(value))


def _entry(row: Mapping[Any, Any] | None) -> TaskCredit:
    if row is None:
        return TaskCredit("", None, "")
    word = row.get("verdict")  # a column that a table may lack
    verdict = "" if _missing(word) or word in (TRAINED, ABSENT) else str(word)
    credit: Any = row.get("credit")
    if _missing(credit):
        return TaskCredit(ABSENT, None, verdict)
    return TaskCredit(number(credit, COLUMN["credit"].format), round(max(-1.0, min(1.0, float(credit))), 3), verdict)


def _family(rule: str) -> str:
    entry = entry_of(rule)
    return entry.family if entry else OTHER


def _reads_weights(results: Results, rule: str) -> bool:
    """Whether the runs declare weight transport. A run that declares nothing counts as one that does."""
    credits = [one.credit for one in results.records if one.rule == rule and one.status.is_result and one.credit]
    return any(credit.declared_transport is not False for credit in credits)
