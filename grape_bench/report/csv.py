"""The table as CSV, for programs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from grape_bench.record.write import write_text


def write(table: pd.DataFrame, path: Path) -> None:
    """Write `table` to `path`: all columns, numbers with 6 significant digits, nothing for a missing value.

    The file replaces an older one in one step. Raises UserError when it cannot be written.
    """
    write_text(path, text(table))


def text(table: pd.DataFrame) -> str:
    """What `write` writes."""
    content: str = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return content
