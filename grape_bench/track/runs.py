"""What a folder of runs holds: records, and the files of rows beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from grape_bench.errors import UserError
from grape_bench.track.record import CURVE, DIAGNOSTICS, RECORD, Record, read_record, read_records

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Runs:
    """Records, and by their ids the rows of curve.csv and diagnostics.csv of those that have them."""

    records: list[Record]
    curves: dict[str, pd.DataFrame]
    diagnostics: dict[str, pd.DataFrame]


def read_runs(*folders: Path) -> Runs:
    """The runs of one suite in each folder, or in several together; raises UserError where a folder has none."""
    jobs: list[Path] = []
    for folder in folders:
        root = runs_folder(folder)
        records = read_records(root)
        if not records:
            raise UserError("no records here", where=str(folder), hint="a folder of one suite's runs: runs/quickstart")
        jobs += [root / record["name"] for record in records]
    return read_jobs(jobs)


def read_jobs(folders: Sequence[Path]) -> Runs:
    """The runs in single jobs' folders, each with a record.json."""
    import pandas as pd  # a scheduler that only writes records does not wait for it

    found = Runs([], {}, {})
    for folder in folders:
        record = read_record(folder / RECORD)
        found.records.append(record)
        for rows, name in ((found.curves, CURVE), (found.diagnostics, DIAGNOSTICS)):
            if (folder / name).is_file() and (folder / name).stat().st_size:
                rows[record["id"]] = pd.read_csv(folder / name)
    return found


def runs_folder(folder: Path) -> Path:
    """`folder`, or `folder/runs` where that is where the records lie (a published table has them there)."""
    if not any(folder.glob(f"*/{RECORD}")) and any((folder / "runs").glob(f"*/{RECORD}")):
        return folder / "runs"
    return folder
