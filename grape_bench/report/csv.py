"""The table as CSV, for programs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from grape_bench.errors import printable
from grape_bench.record.write import write_text
from grape_bench.score.columns import COLUMNS

TABLE = "table.csv"
ALWAYS = ("gap_closed", "step_ratio", "memory_ratio", "bp_fraction", "verdict")
"""Columns that every `table.csv` has, empty where nothing was measured, so that programs can rely on them."""


def write_scores(table: pd.DataFrame, folder: Path) -> None:
    """Write a table of scores to `table.csv` in `folder`. Raises UserError if the file cannot be written."""
    write_text(folder / TABLE, scores_text(table))


def scores_text(table: pd.DataFrame) -> str:
    """The content of `table.csv` for a table of scores."""
    return text(table.reindex(columns=[one.name for one in COLUMNS if one.name in table or one.name in ALWAYS]))


def write(table: pd.DataFrame, path: Path) -> None:
    """Write all columns of `table` to `path`, with 6 significant digits and nothing for a missing value.

    Replaces an existing file atomically. Raises UserError if the file cannot be written.
    """
    write_text(path, text(table))


def text(table: pd.DataFrame) -> str:
    """The content of the file that `write` writes."""
    safe = table.map(_cell) if len(table.columns) else table
    content: str = safe.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return content


def _cell(value: object) -> object:
    """`value`, with an apostrophe before text that a spreadsheet would take for a formula."""
    if not isinstance(value, str):
        return value
    shown = printable(value)
    return f"'{shown}" if shown.lstrip().startswith(("=", "+", "-", "@")) else shown
