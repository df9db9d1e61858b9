"""From a folder of runs to the files of its report."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from grape_bench.errors import UserError
from grape_bench.report import csv, markdown
from grape_bench.report.atomic import write_text
from grape_bench.score.cell import Record
from grape_bench.score.table import score
from grape_bench.track.record import read_records


def write(runs: Path, output: Path) -> pd.DataFrame:
    """Write table.csv, table.md and results.svg of the records in `runs` to `output`; the table.

    Raises UserError where `runs` holds no records, or records that must not stand in one table, and where
    `output` cannot be written.
    """
    from grape_bench.report import plot  # matplotlib: only who draws waits for it

    records = read_records(runs) if runs.is_dir() else []
    if not records:
        raise UserError(
            "no records here", where=str(runs), hint="the folder of one suite's runs, such as runs/quickstart"
        )
    table = score(records)
    csv.write(table, output / "table.csv")
    write_text(output / "table.md", markdown.render(table))
    plot.draw(records, table, output / "results.svg", read_curves(runs, records))
    return table


def read_curves(runs: Path, records: Iterable[Record]) -> dict[str, pd.DataFrame]:
    """The rows of each record's curve.csv, by record id; a record without one is left out."""
    files = {record["id"]: runs / record["name"] / "curve.csv" for record in records}
    return {name: pd.read_csv(file) for name, file in files.items() if file.is_file() and file.stat().st_size}
