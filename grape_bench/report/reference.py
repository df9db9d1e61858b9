"""The list of all columns in docs/reports.md, made from their declarations.

Update the file with `python -m grape_bench.report.reference docs/reports.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from grape_bench.record.write import write_text
from grape_bench.report.markdown import pipe_table
from grape_bench.score import columns
from grape_bench.score.quantity import Quantity, Shown

BEGIN, END = "<!-- columns: begin (generated) -->", "<!-- columns: end -->"
WHERE = {Shown.FILE: "`table.csv`", Shown.PAGE: "and the page", Shown.PRINT: "everywhere"}


def updated(text: str) -> str:
    """`text` with the part between the two marks replaced by the current list."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{section()}\n\n{END}{after}"


def section() -> str:
    """Two Markdown tables: the columns of the results, and those of the table over all tasks."""
    results = _table(
        ("column", "heading", "meaning", "unit", "shown in", "may be absent", "see"),
        [
            (*_texts(column), column.unit, WHERE[column.shown], "yes" if column.optional else "", _link(column))
            for column in columns.COLUMNS
        ],
    )
    overall = _table(
        ("column", "heading", "meaning", "see"), [(*_texts(each), _link(each)) for each in columns.OVERALL]
    )
    return f"{results}\n\nThe table over all tasks has one row per rule:\n\n{overall}"


def _texts(quantity: Quantity) -> tuple[str, str, str]:
    return f"`{quantity.name}`", quantity.heading, quantity.meaning


def _link(quantity: Quantity) -> str:
    page, _, anchor = quantity.reference.partition("#")
    name = (anchor or page.removesuffix(".md")).replace("-", " ")
    return f"[{name}]({quantity.reference})" if page.endswith(".md") else quantity.reference


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return pipe_table(headings, rows, [True] * len(headings))


if __name__ == "__main__":
    path = Path(sys.argv[1])
    write_text(path, updated(path.read_text(encoding="utf-8")))
