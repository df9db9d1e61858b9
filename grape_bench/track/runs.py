"""What a folder of runs holds: records, and the files of rows beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from grape_bench.errors import UserError
from grape_bench.record.folder import read_records, runs_folder
from grape_bench.record.record import RECORD, Record, read_record
from grape_bench.record.table import read_curve, read_diagnostics

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Runs:
    """Records, and by their ids the rows of curve.csv and diagnostics.csv of those that have them."""

    records: list[Record]
    curves: dict[str, pd.DataFrame]
    diagnostics: dict[str, pd.DataFrame]


def read_runs(*folders: Path) -> Runs:
    """The runs in one or more folders of one suite.

    Raises UserError where a folder has none, and DamagedError where a file is not what was written.
    """
    jobs: list[Path] = []
    for folder in folders:
        root = runs_folder(folder)
        records = read_records(root)
        if not records:
            raise UserError("no records here", where=str(folder), hint="a folder of one suite's runs: runs/quickstart")
        jobs += [root / record.name for record in records]
    return read_jobs(jobs)


def read_jobs(folders: Sequence[Path]) -> Runs:
    """The runs in the folders of single jobs, each with a record.json; raises as `read_runs`."""
    import pandas as pd  # a scheduler that only writes records does not wait for it

    found = Runs([], {}, {})
    for folder in folders:
        record = read_record(folder / RECORD)
        found.records.append(record)
        for rows, read in ((found.curves, read_curve), (found.diagnostics, read_diagnostics)):
            if table := read(folder, record):
                rows[record.id] = pd.read_csv(StringIO(table.text))
    return found
