"""Reads a folder of runs: records, and the tables next to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import grape_bench
from grape_bench.errors import UserError, unknown
from grape_bench.record.folder import read_records, runs_folder
from grape_bench.record.record import RECORD, Record, read_record
from grape_bench.record.table import read_curve, read_diagnostics

if TYPE_CHECKING:
    import pandas as pd

MLFLOW = "mlflow:"
ALLOWED = "a folder of runs, mlflow:EXPERIMENT, or the name of a recorded table"


@dataclass(frozen=True)
class Runs:
    """Records, and their curve.csv and diagnostics.csv by record id, if they have them."""

    records: list[Record]
    curves: dict[str, pd.DataFrame]
    diagnostics: dict[str, pd.DataFrame]


def read_runs(*folders: Path) -> Runs:
    """Return the runs in one or more folders of one suite.

    Raises UserError if a folder has no records, and DamagedError if a file is damaged.
    """
    jobs: list[Path] = []
    for folder in folders:
        root = runs_folder(folder)
        records = read_records(root)
        if not records:
            raise UserError(
                "this folder has no records", where=str(folder), hint="a suite's folder, such as runs/quickstart"
            )
        jobs += [root / record.name for record in records]
    return read_jobs(jobs)


def read_jobs(folders: Sequence[Path]) -> Runs:
    """Return the runs in job folders, each with a record.json. Raises DamagedError."""
    import pandas as pd  # imported here, so that a scheduler that only writes records starts fast

    found = Runs([], {}, {})
    for folder in folders:
        record = read_record(folder / RECORD)
        found.records.append(record)
        for rows, read in ((found.curves, read_curve), (found.diagnostics, read_diagnostics)):
            if table := read(folder, record):
                rows[record.id] = pd.read_csv(StringIO(table.text))
    return found


def open_runs(reference: str, tracking_uri: str) -> Runs:
    """Return the runs that `reference` names. Raises UserError if there are none."""
    if reference.startswith(MLFLOW):
        from grape_bench.track.mlflow import read_experiment

        return read_experiment(tracking_uri, reference.removeprefix(MLFLOW))
    if Path(reference).is_dir():
        return read_runs(Path(reference))
    known = recorded()
    if reference not in known:
        raise unknown("set of runs", reference, known, hint=ALLOWED)
    return read_runs(known[reference])


def recorded_jobs(suite: str) -> dict[str, Record]:
    """Return the recorded results of `suite` by job id. These jobs need not run again."""
    found: dict[str, Record] = {}
    for folder in recorded().values():
        for path in sorted(runs_folder(folder).glob(f"*/{RECORD}")):
            record = read_record(path)
            if record.suite == suite and record.status.is_result:
                found.setdefault(record.id, record)
    return found


def recorded() -> dict[str, Path]:
    """Return the folders of recorded tables by name.

    Looks in `./results`, `./baselines`, and the same folders of the checkout. A table in `results/SUITE` is called
    SUITE, and a published rule in `results/SUITE/RULE` is called SUITE/RULE.
    """
    root = Path(grape_bench.__file__).parent.parent
    found: dict[str, Path] = {}
    for parent in (Path("results"), Path("baselines"), root / "results", root / "baselines"):
        for folder in (*sorted(parent.glob("*/")), *sorted(parent.glob("*/*/"))):
            if folder.name != "runs" and any((folder / "runs").glob(f"*/{RECORD}")):
                found.setdefault(folder.relative_to(parent).as_posix(), folder)
    return found
