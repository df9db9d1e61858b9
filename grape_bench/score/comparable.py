"""Which records may share a table: one suite version, one margin, equal budgets, one metric per task, one engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from grape_bench.errors import UserError
from grape_bench.plan.numerics import changed, parts
from grape_bench.record.job import Of, canonical, names_of
from grape_bench.record.record import Record
from grape_bench.score.cell import Cell
from grape_bench.score.metric import METRICS
from grape_bench.score.references import MARGIN

# The optimizer is not part of the budget: its settings are tuned for each rule, with equally many trials.
# The seeds of one cell agree in all but these. `check_numerics` compares the engine, and `unequal_notes` the data.
VARIES = (
    Of.ENGINE,
    Of.SEED,
    Of.TRIAL,
    Of.MEASURING,
    Of.STATED,
    Of.DATA,
)


def check(cells: Iterable[Cell]) -> None:
    """Raise UserError unless the cells may share a table: `check_budget` and `check_numerics`."""
    every = list(cells)
    check_budget(every)
    check_numerics([record for cell in every for record in cell.records])


def check_budget(cells: Iterable[Cell]) -> None:
    """Raise UserError unless all records belong to one suite version, and each task has one budget and one metric.

    Within a cell everything but the seed must be equal, and a seed may appear only once. Open settings may come from
    any number of trials.
    """
    every = list(cells)
    _check_results([record for cell in every for record in cell.records])
    _check_suite([record for cell in every for record in cell.records])
    _check_margin([record for cell in every for record in cell.records])
    tasks: dict[str, list[Cell]] = {}
    for cell in every:
        tasks.setdefault(cell.task, []).append(cell)
    for task, of_task in tasks.items():
        for cell in of_task:
            _check_cell(cell)
        _check_equal(task, of_task, Of.TASK, Of.SOURCE, Of.LAUNCH)
        _check_equal(task, [cell for cell in of_task if not cell.is_open], Of.SEARCH)
        _check_metric(task, [record for cell in of_task for record in cell.records])


def _check_results(records: Sequence[Record]) -> None:
    if any(record.job.trial is not None for record in records):
        hint = "`grape-bench tune SUITE` shows them; `grape-bench run SUITE` uses the settings they found"
        raise UserError("these records are tuning trials of a search, which have no test result", hint=hint)


def _check_suite(records: Sequence[Record]) -> None:
    suites = {f"{record.suite}@{record.job.version}" for record in records}
    if len(suites) > 1:
        raise UserError(
            f"records of different suites or suite versions cannot share a table: {', '.join(sorted(suites))}",
            hint="use one folder per suite and version: --out DIR",
        )


def _check_margin(records: Sequence[Record]) -> None:
    margins = {MARGIN if record.job.margin is None else record.job.margin for record in records}
    if len(margins) > 1:
        raise UserError(
            f'records with different margins of "tied" cannot share a table: {", ".join(map(str, sorted(margins)))}',
            hint="a margin belongs to a version of the suite: raise `version` when you change `margin`",
        )


def _check_cell(cell: Cell) -> None:
    where = f"task {cell.task}, rule {cell.rule}"
    settings = [record.job.portable(*(of for of in Of if of not in VARIES)) for record in cell.records]
    for key in sorted(settings[0]) if _differ(settings) else ():
        values = {canonical(setting[key]) for setting in settings}
        if len(values) > 1:
            raise UserError(
                f"the seeds were run with different {key}: {' and '.join(sorted(values))}",
                where=where,
                hint="delete the records with the old setting, or write to another folder with --out DIR",
            )
    seeds = [record.seed for record in cell.records]
    if len(set(seeds)) < len(seeds):
        twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
        raise UserError(f"there is more than one record of seed {', '.join(map(str, twice))}", where=where)


def _check_equal(task: str, cells: Iterable[Cell], *of: Of) -> None:
    records = [cell.records[0] for cell in cells]  # the others of a cell agree with the first
    budgets = [(record.rule, record.job.portable(*of)) for record in records]
    for key in names_of(*of) if _differ([budget for _, budget in budgets]) else ():
        rules: dict[str, str] = {}
        for rule, budget in budgets:
            rules.setdefault(canonical(budget[key]), rule)
        if len(rules) > 1:
            said = " but ".join(f"{value} for {rule}" for value, rule in rules.items())
            raise UserError(
                f"unequal budgets cannot share a table: {key} = {said}",
                where=f"task {task}",
                hint="run every rule of the task with the same settings",
            )


def _differ(settings: Iterable[Mapping[str, Any]]) -> bool:
    """Whether any two differ. Comparing one text per job is much faster than comparing each setting."""
    return len({canonical(one) for one in settings}) > 1


def _check_metric(task: str, records: Sequence[Record]) -> None:
    names = {record.metric.name for record in records if record.metric}
    if len(names) > 1:
        raise UserError(f"a task has more than one metric: {', '.join(sorted(names))}", where=f"task {task}")
    if unscored := names - set(METRICS):
        raise UserError(f"metric {unscored.pop()!r} cannot be scored", where=f"task {task}", allowed=", ".join(METRICS))


def check_numerics(records: Iterable[Record]) -> None:
    """Raise UserError if a part (a rule, a model, a data set, the trainer, the cuts) has two `numerics` integers."""
    if found := mixed(records):
        raise UserError(
            f"results of two versions of the engine cannot share a table: {'; '.join(found)}",
            hint="run the suite again; it reruns only the jobs with older numerics",
        )


def mixed(records: Iterable[Record]) -> list[str]:
    """One phrase for each part that appears with two integers, naming the rules behind each integer."""
    made: dict[str, dict[int, dict[str, None]]] = {}
    for record in _engines(records):
        for name, integer in parts(record.job).items():
            made.setdefault(name, {}).setdefault(integer, {})[record.rule] = None
    return [
        f"{name} has numerics " + " and ".join(f"{one} ({', '.join(rules)})" for one, rules in sorted(by.items()))
        for name, by in made.items()
        if len(by) > 1
    ]


def _engines(records: Iterable[Record]) -> Iterable[Record]:
    """One record for each distinct set of parts of the engine and their integers."""
    found: dict[tuple[str, str, str, str | None, str], Record] = {}
    for record in records:
        job = record.job
        found.setdefault((job.rule, job.model, job.dataset, job.objective, canonical(job.numerics)), record)
    return found.values()


def outdated(records: Iterable[Record]) -> str:
    """One line listing the parts whose integer differs from this version's. Empty if there are none."""
    found: dict[str, tuple[int, int]] = {}
    for record in _engines(records):
        found.update(changed(record.job))
    listed = ", ".join(f"{name} {made} (now {now})" for name, (made, now) in sorted(found.items()))
    return f"made with different numerics than this version has: {listed}" if found else ""
