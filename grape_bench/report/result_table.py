"""The table of a run in Python: its numbers as a DataFrame, and the same picture as in a terminal."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from grape_bench.report import terminal
from grape_bench.report.console import PlainConsole

WIDTH = 110  # columns of a notebook's cell


@dataclass(frozen=True, eq=False, repr=False)
class ResultTable:
    """The results of a suite. `frame` has a row per task and rule, and `folder` the records behind it.

    A notebook shows it as a table with colors, and `print` as text. docs/reports.md lists the columns of `frame`.
    """

    frame: pd.DataFrame
    folder: Path

    def __repr__(self) -> str:
        return self._drawn().export_text()

    def _repr_html_(self) -> str:
        """The table for a notebook. Text from records is escaped."""
        return self._drawn().export_html(inline_styles=True, code_format="<pre>{code}</pre>")

    def _drawn(self) -> PlainConsole:
        console = PlainConsole(width=WIDTH, record=True, file=io.StringIO(), force_jupyter=False)
        console.print(terminal.render(self.frame))
        return console
