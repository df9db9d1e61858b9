"""Records to the table of results: one row per task and rule."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from grape_bench.record.record import Record
from grape_bench.score import columns, comparable, open_rows, resolution, tuned
from grape_bench.score.best import Best, Paired, best
from grape_bench.score.cell import Grid, by_task, cells, differences, hardware_classes, looks_of
from grape_bench.score.inference import mean
from grape_bench.score.labels import NO_NAMES, Names, labels
from grape_bench.score.ladder import blocks_worth
from grape_bench.score.lite import NOT_LITE, Lite, LiteRow, mean_credit
from grape_bench.score.quantity import Column
from grape_bench.score.references import References
from grape_bench.score.row import Row
from grape_bench.score.unequal import unequal_notes


def score(records: Iterable[Record], lite: Lite = NOT_LITE, given: Names = NO_NAMES) -> pd.DataFrame:
    """The table of `records`, with the columns that `columns.COLUMNS` declares.

    One row per (task, rule), in the order of the records with BP first. Accuracies are means over the seeds with a
    result. Scores (norm_acc, credit, gap_closed) use only the seeds that a rule shares with its references, so that
    both sides of a difference saw the same weights and batches. A row depends on its own cell and the references,
    except for the columns that are `of_table`.

    A missing value is NaN, and an optional column without any value is left out. Cost ratios depend on the hardware:
    they are NaN for a rule that did not run on BP's hardware class alone.

    `attrs["notes"]` explains missing values. `attrs["best"]` is the comparison with the best rule by task, and
    `attrs["stated"]` holds sentences for the caption on the settings and the resolution. `attrs["names"]` maps each
    rule to its label, which is `given` or made from its name.

    The rules of `lite` get a `LiteRow` each and do not affect the other rows. `attrs["lite"]` lists them, and
    `attrs["mean_credit"]` holds the result of `lite.mean_credit`. Open rows are not ranked either.

    Raises UserError if the records may not share a table (see `comparable.check`).
    """
    every = list(records)
    grid = cells(every)
    comparable.check(grid.values())
    parts = by_task(grid)
    compared = {task: best_of(task, open_rows.without_open(lite.without(part))) for task, part in parts.items()}
    rows = [row for task, part in parts.items() for row in _rows(task, part, compared[task], lite)]
    table = pd.DataFrame(
        [{column.name: column.value(row) for column in columns.COLUMNS} for row in rows],
        columns=[column.name for column in columns.COLUMNS],
    )
    table = table.drop(columns=[column.name for column in columns.COLUMNS if column.optional and _empty(table, column)])
    notes = [line] if (line := comparable.outdated(every)) else []
    table.attrs["notes"] = list(
        dict.fromkeys([*notes, *_unresolved_notes(rows), *_hardware_notes(grid), *unequal_notes(every)])
    )
    names = labels((rule for _, rule in grid), given)
    table.attrs["names"] = names
    table.attrs["best"] = {task: found.text(names) for task, found in compared.items() if found}
    table.attrs["stated"] = [
        *lite.stated(grid),
        *open_rows.stated(grid.values()),
        *tuned.stated(open_rows.without_open(grid).values(), names),
        *resolution.stated(grid),
    ]
    if lite.rules:
        table.attrs["lite"] = sorted(lite.rules)
        table.attrs["mean_credit"] = mean_credit(grid, lite)
    return table


def _rows(task: str, grid: Grid, compared: Best | None, lite: Lite) -> list[Row]:
    """The rows of one task, whose cells are in `grid`."""
    references = References.of(grid, task)
    return [
        (LiteRow if cell.rule in lite.rules else Row)(
            cell,
            references,
            comparable=len(hardware_classes(cell, references.bp, grid)) <= 1,
            p_best=compared.p.get(cell.rule, math.nan) if compared else math.nan,
            blocks=blocks_worth(grid, task, cell.rule),
        )
        for cell in grid.values()
    ]


def _unresolved_notes(rows: Iterable[Row]) -> list[str]:
    """One note per quotient that has no value on some tasks, because BP is not resolved to be above the reference."""
    tasks: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        bp, dfa, frozen = row.references.bp, row.references.dfa, row.references.frozen
        if row.cell is bp:
            for reference, quotient in ((frozen, "credit"), (dfa, "gap closed")):
                if reference and not row.references.bp_above(reference):
                    tasks.setdefault((reference.rule, quotient), []).append(bp.task)
    return [
        f"{', '.join(names)}: bp is not resolved above {rule}, so there is no {quotient}"
        for (rule, quotient), names in tasks.items()
    ]


def _hardware_notes(grid: Grid) -> list[str]:
    """One note per mix of hardware classes, with the rules that have no cost ratios because of it."""
    mixed: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for task, part in by_task(grid).items():
        for cell in part.values():
            classes = tuple(hardware_classes(cell, part.get((task, "bp")), part))
            if len(classes) > 1:
                mixed.setdefault(classes, {}).setdefault(task, []).append(cell.rule)
    notes = []
    for classes, tasks in mixed.items():
        which = "; ".join(f"{task} ({', '.join(rules)})" for task, rules in tasks.items())
        notes.append(f"no time or memory ratio, measured on different hardware: {which}: {'; '.join(classes)}")
    return notes


def best_of(task: str, grid: Grid) -> Best | None:
    """The rules with a result on `task`, compared with the best one.

    This is Student's paired t-test over seeds, which makes the same assumption as the interval of a cell. A sign-flip
    test of three seeds cannot go below p = 0.25, whatever they show.
    """
    scored = {cell.rule: cell for cell in grid.values() if cell.task == task and cell.scores}
    means = {rule: mean(cell.scores.values()) for rule, cell in scored.items()}
    looks = looks_of(*scored.values())
    return best(means, lambda first, second: Paired.of(differences(scored[first], scored[second]), looks))


def _empty(table: pd.DataFrame, column: Column) -> bool:
    name = column.beside or column.name
    values: Any = table.loc[table["rule"] != "bp", name] if column.bp_is_1 else table[name]
    return bool((values.isna() | (values == "")).all())
