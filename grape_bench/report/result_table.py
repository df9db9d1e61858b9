"""The table of a run in Python: its numbers as a DataFrame, displayed as in a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from grape_bench.report import terminal
from grape_bench.report.console import cell_html, cell_text


@dataclass(frozen=True, eq=False, repr=False)
class ResultTable:
    """The results of a suite. `frame` has a row per task and rule, and `folder` the records behind it.

    A notebook shows it as a table with colors, and `print` as text. docs/reports.md lists the columns of `frame`.
    """

    frame: pd.DataFrame
    folder: Path

    def __repr__(self) -> str:
        return cell_text(terminal.render(self.frame))

    def _repr_html_(self) -> str:
        """The table for a notebook. Text from records is escaped."""
        return cell_html(terminal.render(self.frame))
