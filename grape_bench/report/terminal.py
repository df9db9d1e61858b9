"""The table for a terminal."""

from __future__ import annotations

import pandas as pd
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from grape_bench.report.columns import Column, Row, caption, columns, footnotes
from grape_bench.score.metric import METRICS


def render(table: pd.DataFrame) -> RenderableType:
    """One rich table per task and a caption, within 80 columns; print it with a `rich.console.Console`."""
    if table.empty:
        return Text("no results yet")
    parts: list[RenderableType] = []
    for task in table["task"].unique():
        parts += [Text(task, style="bold"), _one_task(table, task), ""]
    parts.append(Text(caption(table), style="dim"))
    parts += [Text(f"! {note}", style="yellow") for note in footnotes(table)]
    return Group(*parts)


def _one_task(table: pd.DataFrame, task: str) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    chosen = columns(table)
    rows = table[table["task"] == task].to_dict("records")
    for column in chosen:
        left = column.needs in ("rule", "verdict")
        # Words of a heading go below each other: "gap closed" as wide as its numbers.
        heading = column.heading if column.needs in METRICS else column.heading.replace(" ", "\n", 1)
        shown.add_column(
            heading,
            justify="left" if left else "right",
            vertical="top",
            overflow="fold",
            no_wrap=column.needs not in ("rule", "verdict"),  # a long name gives way, a number never
        )
    for row in rows:
        shown.add_row(*(_cell(row, column) for column in chosen))
    return shown


def _cell(row: Row, column: Column) -> Text:
    style = "bold" if row["best"] and column.needs in METRICS else ""
    return Text(column.text(row).replace(", ", "\n"), style=style)
