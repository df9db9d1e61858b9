"""The runs of a suite at equal cost: each rule at shares of BP's whole training, and the pairs whose order changes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from grape_bench.errors import UserError
from grape_bench.record.rule_name import FROZEN
from grape_bench.score.cell import Cell, Grid, by_task, differences
from grape_bench.score.cost_axis import AXES, CostAxis, CostModel, classes_of
from grape_bench.score.flips import Pair, pairs
from grape_bench.score.inference import interval
from grape_bench.score.path import Path, budget_of, constant_path, path
from grape_bench.score.references import REFERENCE_COLUMNS, References
from grape_bench.score.row import DRAFT_BELOW
from grape_bench.score.standing import NOWHERE, standings

BUDGETS = (0.25, 0.5, 1.0)
"""Shares of BP's whole training. They depend on no other rule, so the cheapest rule does not shorten all rows."""

Paths = dict[str, dict[str, Path]]  # task -> rule -> path


@dataclass(frozen=True)
class EqualCost:
    """The paths by task and rule, the table of rules at each budget, and the pairs of rules.

    `notes` says which rules were left out, and why.
    """

    axis: CostAxis
    paths: Paths
    table: pd.DataFrame
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]

    @property
    def tasks(self) -> list[str]:
        """The tasks, in the order of the table."""
        return list(self.paths)

    @property
    def schedules(self) -> dict[str, list[str]]:
        """Schedule of the learning rate -> the tasks that have it, for every schedule but the constant one."""
        found: dict[str, list[str]] = {}
        for task, of_task in self.paths.items():
            jobs = (record.job for own in of_task.values() for record in own.cell.results)
            for schedule in dict.fromkeys(job.schedule for job in jobs if job.schedule != "constant"):
                found.setdefault(schedule, []).append(task)
        return found


def equal_cost(grid: Grid, curves: Mapping[str, pd.DataFrame], at: str) -> EqualCost:
    """Compare the cells of `grid` at equal cost. `at` names one of `AXES`.

    The table has one row per task, budget and rule (docs/reports.md). Raises UserError if no task has two rules with
    a learning curve and a recorded cost.
    """
    axis = AXES[at]
    found, left_out = _paths(grid, curves, axis)
    if not found:
        possible = [name for name, other in AXES.items() if _paths(grid, curves, other)[0]]
        missing = "; ".join(_said(left_out)) or "no task has two rules"
        raise UserError(
            f"nothing to compare at equal {axis.heading}: {missing}",
            allowed=", ".join(f"--at {name}" for name in possible),
            hint=axis.recorded_by,
        )
    rows = [row for of_task in found.values() for budget in BUDGETS for row in _rows(of_task, budget)]
    every = tuple(pair for of_task in found.values() for pair in pairs(of_task.values()))
    return EqualCost(axis, found, pd.DataFrame(rows), every, tuple(_said(left_out)))


Reasons = dict[str, dict[str, list[str]]]  # reason -> task -> rules


def _paths(grid: Grid, curves: Mapping[str, pd.DataFrame], axis: CostAxis) -> tuple[Paths, Reasons]:
    """The paths of each task that has two rules to compare, and the cells that have none, by reason."""
    found: Paths = {}
    left_out: Reasons = {}
    for task, part in by_task(grid).items():
        samples = budget_of(part.values(), curves)
        classes = classes_of(part.get((task, "bp")), part.values())
        of_task: dict[str, Path] = {}
        for cell in part.values():
            own, reason = _path(cell, curves, axis.step(cell, classes), samples)
            if own is not None:
                of_task[cell.rule] = own
            else:
                left_out.setdefault(reason, {}).setdefault(task, []).append(cell.rule)
        if len(of_task.keys() - {FROZEN}) > 1:
            found[task] = of_task
    return found, left_out


def _path(
    cell: Cell, curves: Mapping[str, pd.DataFrame], step: tuple[float, str], samples: float
) -> tuple[Path | None, str]:
    """The path of a cell whose step has this cost, or None and why there is none."""
    if not cell.results:
        return None, "no result"
    if cell.rule == FROZEN:
        return constant_path(cell), ""
    cost, reason = step
    if reason:
        return None, reason
    return path(cell, curves, CostModel.of(cell, cost), samples), "no learning curve"


def _said(left_out: Reasons) -> Iterator[str]:
    """One line per reason, with the tasks that lack the same rules together."""
    for reason, tasks in left_out.items():
        groups: dict[tuple[str, ...], list[str]] = {}
        for task, rules in tasks.items():
            groups.setdefault(tuple(rules), []).append(task)
        yield f"{reason}: " + "; ".join(f"{', '.join(rules)} ({', '.join(on)})" for rules, on in groups.items())


def _rows(of_task: Mapping[str, Path], budget: float) -> Iterator[dict[str, Any]]:
    """One row per rule of a task at one budget."""
    placed = {(own.cell.task, rule): own.at(budget) for rule, own in of_task.items()}
    references = References.of(placed, next(iter(placed))[0])
    for own, cell in zip(of_task.values(), placed.values(), strict=True):
        score, metric = interval(cell.scores.values()), cell.metric
        yield {
            "task": cell.task,
            "budget": budget,
            "rule": cell.rule,
            "whole_cost": own.end if own.spending else math.nan,
            "share": own.spending.share(budget) if own.spending else math.nan,
            "ended": own.end < budget and not math.isclose(own.end, budget),
            "n": score.n,
            "draft": score.n < DRAFT_BELOW,
            "metric": metric.name,
            "value": metric.value(score.mean),
            "value_ci": metric.half_width(score.mean, score.half_width),
            **_standing(cell, references),
        }


def _standing(cell: Cell, references: References) -> dict[str, Any]:
    """The difference from each reference with its 95 % half-width, p and the word."""
    found: dict[str, Any] = {}
    words = standings(cell, references)
    for name in REFERENCE_COLUMNS:
        other = references.named.get(name)
        compared = interval(differences(cell, other) if other and other.rule != cell.rule else ())
        found[f"minus_{name}"], found[f"minus_{name}_ci"] = compared.mean, compared.half_width
        standing = words.get(name, NOWHERE)
        found[f"p_{name}"], found[f"vs_{name}"] = standing.p, standing.text
    return found
