"""Which records may stand side by side in one table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from grape_bench.errors import UserError
from grape_bench.record.job import Of, canonical, names_of
from grape_bench.record.record import Record
from grape_bench.score.cell import Cell
from grape_bench.score.metric import METRICS

# The optimizer is not part of it: its settings are tuned for each rule, in a search of equal size.
BUDGET = names_of(Of.TASK, Of.SEARCH)
# The seeds of one cell agree in all but these.
VARIES = (Of.ENGINE, Of.SEED, Of.TRIAL, Of.MEASURING)  # `numerics.check` compares the engine


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
    if any(record.job.trial is not None for record in records):
        hint = "grape-bench tune SUITE shows them, grape-bench run SUITE uses what they found"
        raise UserError("these are trials of a search for settings, which have no test result", hint=hint)


def _check_suite(records: Sequence[Record]) -> None:
    suites = {f"{record.suite}@{record.job.version}" for record in records}
    if len(suites) > 1:
        raise UserError(
            f"records of different suites or versions cannot be compared: {', '.join(sorted(suites))}",
            hint="one folder per suite and version, --out DIR",
        )


def _check_cell(cell: Cell) -> None:
    where = f"task {cell.task}, rule {cell.rule}"
    settings = [record.job.parts(*(of for of in Of if of not in VARIES)) for record in cell.records]
    for key in sorted(settings[0]):
        values = {canonical(setting[key]) for setting in settings}
        if len(values) > 1:
            raise UserError(
                f"seeds were run with different {key}: {' and '.join(sorted(values))}",
                where=where,
                hint="delete the records of the old setting, or run into another folder with --out DIR",
            )
    seeds = [record.seed for record in cell.records]
    if len(set(seeds)) < len(seeds):
        twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
        raise UserError(f"more than one record of seed {', '.join(map(str, twice))}", where=where)


def _check_budget(task: str, records: Sequence[Record]) -> None:
    for key in BUDGET:
        rules: dict[str, str] = {}
        for record in records:
            rules.setdefault(canonical(getattr(record.job, key)), record.rule)
        if len(rules) > 1:
            parts = " but ".join(f"{value} for {rule}" for value, rule in rules.items())
            raise UserError(
                f"unequal budgets cannot stand in one table: {key} = {parts}",
                where=f"task {task}",
                hint="run every rule of the task with the same settings",
            )


def _check_metric(task: str, records: Sequence[Record]) -> None:
    names = {record.metric.name for record in records if record.metric}
    if len(names) > 1:
        raise UserError(f"different metrics in one task: {', '.join(sorted(names))}", where=f"task {task}")
    if unscored := names - set(METRICS):
        raise UserError(f"no score for metric {unscored.pop()!r}", where=f"task {task}", allowed=", ".join(METRICS))
