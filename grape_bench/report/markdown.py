"""The table as GitHub Markdown."""

from __future__ import annotations

import pandas as pd

from grape_bench.report.columns import caption, columns, footnotes


def render(table: pd.DataFrame) -> str:
    """A heading and an aligned pipe table per task, then the caption and notes; ends with a newline."""
    if table.empty:
        return "No results yet.\n"
    blocks = [f"### {task}\n\n{_one_task(table, task)}" for task in table["task"].unique()]
    blocks.append(_escape(caption(table)))
    if notes := footnotes(table):
        blocks.append("\n".join(f"- {_escape(note)}" for note in notes))
    return "\n\n".join(blocks) + "\n"


def _one_task(table: pd.DataFrame, task: str) -> str:
    chosen = columns(table)
    rows = table[table["task"] == task].to_dict("records")
    cells = [[column.heading for column in chosen], *([_escape(c.text(row)) for c in chosen] for row in rows)]
    widths = [max(3, *(len(line[i]) for line in cells)) for i in range(len(chosen))]
    left = [column.needs in ("rule", "verdict") for column in chosen]
    rule = ["-" * width if is_left else "-" * (width - 1) + ":" for width, is_left in zip(widths, left, strict=True)]
    return "\n".join(_line(line, widths, left) for line in (cells[0], rule, *cells[1:]))


def _line(cells: list[str], widths: list[int], left: list[bool]) -> str:
    padded = (
        text.ljust(width) if is_left else text.rjust(width)
        for text, width, is_left in zip(cells, widths, left, strict=True)
    )
    return f"| {' | '.join(padded)} |"


def _escape(text: str) -> str:
    for character in "\\|*_<`":
        text = text.replace(character, f"\\{character}")
    return text
