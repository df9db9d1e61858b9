"""The table for a terminal."""

from __future__ import annotations

import pandas as pd
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from grape_bench.report.text import Printed, caption, footnotes, in_brackets, printed
from grape_bench.score.quantity import Values


def render(table: pd.DataFrame) -> RenderableType:
    """One rich table per task, then the caption and notes, within 80 columns. Print it with a rich `Console`."""
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
    same_n = len({(row["n"], row["draft"]) for row in rows}) == 1 and rows[0]["n"] > 0
    # If all rows have the same number of seeds, only the heading shows it.
    seeds = f" {in_brackets(rows[0])}" if same_n else ""
    chosen = printed(table, task)
    for item in chosen:
        # A long text may wrap, but not within one of our own words. A number never wraps.
        wrap = item.column.wrap
        shown.add_column(
            _heading(item, seeds or " (n)"),
            justify="left" if item.left else "right",
            vertical="top",
            overflow="fold",
            no_wrap=wrap is None,
            min_width=wrap,
        )
    for row in rows:
        shown.add_row(*(_text(row, item, seeds) for item in chosen))
    return shown


def _heading(item: Printed, seeds: str) -> str:
    """One word per line, so that "gap closed" is no wider than its numbers. A metric's heading stays on one line."""
    if item.is_metric:
        return f"{item.column.narrow or item.column.heading}{seeds}"
    return (item.column.narrow or item.column.heading).replace(" ", "\n", 1)


def _text(row: Values, item: Printed, seeds: str) -> Text:
    text = item.text(row)
    if item.is_metric:
        text = text.removesuffix(seeds)
    return Text(text.replace(", ", "\n"), style="bold" if item.is_bold(row) else "")
