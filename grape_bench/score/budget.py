"""Which records may stand side by side in one table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from grape_bench.errors import UserError
from grape_bench.score.cell import Cell, Record
from grape_bench.score.metric import METRICS

# The optimizer is not here: its settings are tuned per rule, within a search of equal size.
BUDGET = ("model", "model_args", "dataset", "dataset_args", "epochs", "batch_size", "schedule", "precision")
# Part of the budget too; records from before there was such a key have this value.
BEFORE: dict[str, Any] = {"compile": False, "deterministic": False, "trials": 1}


def check(cells: Iterable[Cell]) -> None:
    """Raise UserError unless the records are of one suite version, and each task of one budget and metric.

    Within one rule and task everything but the seed must be equal, and each seed may come once.
    """
    every = list(cells)
    _check_results([record for cell in every for record in cell.records])
    _check_suite([record for cell in every for record in cell.records])
    for task in dict.fromkeys(cell.task for cell in every):
        of_task = [cell for cell in every if cell.task == task]
        for cell in of_task:
            _check_cell(cell)
        records = [record for cell in of_task for record in cell.records]
        _check_budget(task, records)
        _check_metric(task, records)


def _check_results(records: Sequence[Record]) -> None:
    if any(record["job"].get("trial") is not None for record in records):
        hint = "grape-bench tune SUITE shows them, grape-bench run SUITE uses what they found"
        raise UserError("these are trials of a search for settings, which have no test result", hint=hint)


def _check_suite(records: Sequence[Record]) -> None:
    suites = {f"{record['suite']}@{record['suite_version']}" for record in records}
    if len(suites) > 1:
        raise UserError(
            f"records of different suites or versions cannot be compared: {', '.join(sorted(suites))}",
            hint="one folder per suite and version, --out DIR",
        )


def _check_cell(cell: Cell) -> None:
    where = f"task {cell.task}, rule {cell.rule}"
    settings = [{**BEFORE, **_without_seed(record["job"])} for record in cell.records]
    for key in sorted(set().union(*settings)):
        values = {_canonical(setting.get(key)) for setting in settings}
        if len(values) > 1:
            raise UserError(
                f"seeds were run with different {key}: {' and '.join(sorted(values))}",
                where=where,
                hint="delete the records of the old setting, or run into another folder with --out DIR",
            )
    seeds = [record["seed"] for record in cell.records]
    if len(set(seeds)) < len(seeds):
        twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
        raise UserError(f"more than one record of seed {', '.join(map(str, twice))}", where=where)


def _without_seed(job: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in job.items() if key not in ("seed", "numerics", "profile", "probes")}


def _check_budget(task: str, records: Sequence[Record]) -> None:
    for key in (*BUDGET, *BEFORE):
        rules: dict[str, str] = {}
        for record in records:
            rules.setdefault(_canonical(record["job"].get(key, BEFORE.get(key))), record["rule"])
        if len(rules) > 1:
            parts = " but ".join(f"{value} for {rule}" for value, rule in rules.items())
            raise UserError(
                f"unequal budgets cannot stand in one table: {key} = {parts}",
                where=f"task {task}",
                hint="run every rule of the task with the same settings",
            )


def _check_metric(task: str, records: Sequence[Record]) -> None:
    names = {record["metric"]["name"] for record in records if record.get("metric")}
    if len(names) > 1:
        raise UserError(f"different metrics in one task: {', '.join(sorted(names))}", where=f"task {task}")
    if unscored := names - set(METRICS):
        raise UserError(f"no score for metric {unscored.pop()!r}", where=f"task {task}", allowed=", ".join(METRICS))


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
