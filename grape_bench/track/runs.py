"""Reads a folder of runs: records, and the tables next to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from grape_bench.errors import UserError
from grape_bench.record.collection import paused_collection
from grape_bench.record.folder import read_folder, runs_folder
from grape_bench.record.record import RECORD, Record, read_record
from grape_bench.record.regular_file import Largest, check_total
from grape_bench.record.table import CURVE, DIAGNOSTICS, read_curve, read_diagnostics

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Runs:
    """Records, and their curve.csv and diagnostics.csv by record id, if they have them.

    `untuned` are the records of `run --untuned` in the same folders, if the table holds tuned ones. `note` is one line
    on the other records in the folders, which cannot share a table with these; empty if there are none.
    """

    records: list[Record]
    curves: dict[str, pd.DataFrame]
    diagnostics: dict[str, pd.DataFrame]
    note: str = ""
    untuned: Sequence[Record] = ()


def read_runs(*folders: Path) -> Runs:
    """Return the runs in one or more folders of one suite.

    Raises UserError if a folder has no records, and DamagedError if a file is damaged.
    """
    jobs: list[tuple[Path, Record]] = []
    notes: list[str] = []
    untuned: list[Record] = []
    for folder in folders:
        root = runs_folder(folder)
        found = read_folder(root).found()
        if not found.records:
            raise UserError(
                "this folder has no records", where=str(folder), hint="a suite's folder, such as runs/quickstart"
            )
        jobs += [(root / record.name, record) for record in found.records]
        untuned += found.untuned
        notes += [f"{folder}: {found.note}"] if found.note else []
    return replace(_with_tables(jobs), note="\n".join(notes), untuned=untuned)


def read_jobs(folders: Sequence[Path]) -> Runs:
    """Return the runs in job folders, each with a record.json. Raises DamagedError."""
    return _with_tables([(folder, read_record(folder / RECORD)) for folder in folders])


def _with_tables(jobs: Sequence[tuple[Path, Record]]) -> Runs:
    """The records in their jobs' folders, with their tables. Raises DamagedError."""
    import pandas as pd  # imported here, so that a scheduler that only writes records starts fast

    found = Runs([], {}, {})
    tables = [folder / name for folder, _ in jobs for name in (CURVE, DIAGNOSTICS)]
    check_total(tables, jobs[0][0].parent if jobs else Path(), Largest.ALL_TABLES)
    with paused_collection():
        for folder, record in jobs:
            found.records.append(record)
            for rows, read in ((found.curves, read_curve), (found.diagnostics, read_diagnostics)):
                if table := read(folder, record):
                    rows[record.id] = pd.read_csv(StringIO(table.text))
    return found
