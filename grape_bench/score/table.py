"""Records to the table of results: one row per task and rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from grape_bench.record.record import Record
from grape_bench.score import columns, comparable
from grape_bench.score.cell import Cell, Grid, cells, differences, hardware_classes, means
from grape_bench.score.inference import Standing, mean, paired_t, standings
from grape_bench.score.quantity import Column
from grape_bench.score.row import NO_STANDING, Row
from grape_bench.score.unequal import unequal_notes


def score(records: Iterable[Record]) -> pd.DataFrame:
    """The table of `records`, with the columns that `columns.COLUMNS` declares.

    One row per (task, rule), in the order of the records with BP first. Accuracies are means over the seeds with a
    result. Scores (norm_acc, credit, gap_closed) use only the seeds that a rule shares with its references, so that
    both sides of a difference saw the same weights and batches.

    A missing value is NaN, and an optional column without any value is left out. Cost ratios depend on the hardware:
    they are NaN for a rule that did not run on BP's hardware class alone. `attrs["notes"]` lists such rules.

    Raises UserError if the records may not share a table (see `comparable.check`).
    """
    every = list(records)
    grid = cells(every)
    comparable.check(grid.values())
    notes = [line] if (line := comparable.outdated(every)) else []
    standing = {key: found for task in _tasks(grid) for key, found in _standings(task, grid).items()}
    rows = [_row(cell, grid, standing.get(key, NO_STANDING), notes) for key, cell in grid.items()]
    table = pd.DataFrame(
        [{column.name: column.value(row) for column in columns.COLUMNS} for row in rows],
        columns=[column.name for column in columns.COLUMNS],
    )
    table = table.drop(columns=[column.name for column in columns.COLUMNS if column.optional and _empty(table, column)])
    table.attrs["notes"] = list(dict.fromkeys([*notes, *_hardware_notes(grid), *unequal_notes(every)]))
    return table


def _tasks(grid: Grid) -> list[str]:
    return list(dict.fromkeys(task for task, _ in grid))


def _row(cell: Cell, grid: Grid, standing: Standing, notes: list[str]) -> Row:
    """The row of `cell`. Appends a note for each value that has no meaning."""
    bp, head_only, dfa = (grid.get((cell.task, rule)) for rule in ("bp", "head-only", "dfa"))
    for name, reference, column in (("head-only", head_only, "credit"), ("dfa", dfa, "gap_closed")):
        _, high, low = means(cell, bp, reference)
        if low >= high:
            notes.append(f"{cell.task}: bp is not better than {name}, so {column} has no meaning there")
    return Row(cell, bp, head_only, dfa, comparable=len(hardware_classes(cell, bp, grid)) <= 1, standing=standing)


def _hardware_notes(grid: Grid) -> list[str]:
    """One note per mix of hardware classes, with the rules that have no cost ratios because of it."""
    mixed: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for (task, rule), cell in grid.items():
        classes = tuple(hardware_classes(cell, grid.get((task, "bp")), grid))
        if len(classes) > 1:
            mixed.setdefault(classes, {}).setdefault(task, []).append(rule)
    notes = []
    for classes, tasks in mixed.items():
        which = "; ".join(f"{task} ({', '.join(rules)})" for task, rules in tasks.items())
        notes.append(f"no time or memory ratio, measured on different hardware: {which}: {'; '.join(classes)}")
    return notes


def _standings(task: str, grid: Grid) -> Mapping[tuple[str, str], Standing]:
    """The standing of each rule with a result on `task`.

    This is Student's paired t-test over seeds, which makes the same assumption as the interval of a cell. A sign-flip
    test of three seeds cannot go below p = 0.25, whatever they show.
    """
    scored = [cell for cell in grid.values() if cell.task == task and cell.scores]
    if not scored:
        return {}
    best = max(scored, key=lambda cell: (mean(cell.scores.values()), cell.rule))
    tests = {cell.rule: paired_t(differences(cell, best)) for cell in scored if cell is not best}
    found = standings(best.rule, tests, {cell.rule for cell in scored if cell.diverged})
    return {(task, rule): standing for rule, standing in found.items()}


def _empty(table: pd.DataFrame, column: Column) -> bool:
    name = column.beside or column.name
    values: Any = table.loc[table["rule"] != "bp", name] if column.bp_is_1 else table[name]
    return bool((values.isna() | (values == "")).all())
