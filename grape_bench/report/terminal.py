"""The table for a terminal."""

from __future__ import annotations

import pandas as pd
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from grape_bench.report.columns import Column, Row, caption, columns, footnotes, measured_on
from grape_bench.score.metric import METRICS

# Width of what may go over several lines: "grape+anchor", "activations".
LEAST = {"rule": 12, "verdict": 11}


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
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    rows = table[table["task"] == task].to_dict("records")
    alike = len({(row["n"], row["draft"]) for row in rows}) == 1 and rows[0]["n"] > 0
    seeds = measured_on(rows[0])
    chosen = columns(table)
    for column in chosen:
        # A long name gives way, but not within a word of ours; a number never.
        least = LEAST.get(column.needs)
        shown.add_column(
            _heading(column, f" {seeds}" if alike else " (n)"),
            justify="left" if least else "right",
            vertical="top",
            overflow="fold",
            no_wrap=least is None,
            min_width=least,
        )
    for row in rows:
        shown.add_row(*(_cell(row, column, f" {seeds}" if alike else "") for column in chosen))
    return shown


def _heading(column: Column, seeds: str) -> str:
    """Its words below each other, so that "gap closed" is as wide as its numbers."""
    if column.needs in METRICS:
        return column.heading.replace(" (n)", seeds)
    return column.heading.replace("fraction", "fract.").replace(" ", "\n", 1)


def _cell(row: Row, column: Column, seeds: str) -> Text:
    style = "bold" if row["best"] and column.needs in METRICS else ""
    text = column.text(row)
    if column.needs in METRICS:
        text = text.removesuffix(seeds)  # which the heading says for all
    return Text(text.replace(", ", "\n"), style=style)
