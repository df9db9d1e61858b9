"""The table for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Column as TableColumn
from rich.table import Table
from rich.text import Text

from grape_bench.report.text import Printed, best_lines, caption, footnotes, in_brackets, names_of, printed
from grape_bench.score.quantity import Values, number
from grape_bench.score.standing import BETTER, TOO_FEW, WORSE

STYLES = {BETTER: "green", WORSE: "red", TOO_FEW: "dim"}


def render(table: pd.DataFrame) -> RenderableType:
    """Two rich tables per task and the line on the best rule, then the caption and notes, within 80 columns.

    A table with lite rules also has their mean credit beside that of the others.

    Print it with a rich `Console`.
    """
    if table.empty:
        return Text("no results yet")
    parts: list[RenderableType] = []
    for task in table["task"].unique():
        parts.append(Text(task, style="bold"))
        for chosen in printed(table, task):
            parts += [_Fitted(table[table["task"] == task], chosen), ""]
        if line := best_lines(table).get(task):
            parts += [Text(line), ""]
    parts += _mean_credit(table)
    parts.append(Text(caption(table), style="dim"))
    parts += [Text(f"! {note}", style="yellow") for note in footnotes(table)]
    return Group(*parts)


@dataclass(frozen=True)
class _Fitted:
    """The rows of one task, split into several tables if the console is too narrow for all columns."""

    table: pd.DataFrame
    chosen: Sequence[Printed]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Split the columns until they fit, because rich would cut off numbers."""
        whole = _one_task(self.table, self.chosen)
        rule, *others = self.chosen
        if sum(map(_least, whole.columns)) - 2 <= options.max_width or len(others) < 2:
            yield whole
            return
        half = math.ceil(len(others) / 2)
        yield _Fitted(self.table, [rule, *others[:half]])
        yield ""
        yield _Fitted(self.table, [rule, *others[half:]])


def _least(column: TableColumn) -> int:
    """The smallest width of a column, with the two spaces after it."""
    texts = [str(cell) for cell in (column.header, *column.cells)]
    longest = max(cell_len(line) for text in texts for line in text.split("\n"))
    return 2 + (longest if column.no_wrap else column.min_width or 0)


def _one_task(table: pd.DataFrame, chosen: Sequence[Printed]) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    rows = table.to_dict("records")
    same_n = len({(row["n"], row["draft"]) for row in rows}) == 1 and rows[0]["n"] > 0
    # If all rows have the same number of seeds, only the heading shows it.
    seeds = f" {in_brackets(rows[0])}" if same_n else ""
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


def _mean_credit(table: pd.DataFrame) -> list[RenderableType]:
    """Credit over tasks, on the seeds that lite rules have in common with the others. Empty without lite rules."""
    tasks, credits = table.attrs.get("mean_credit", ([], {}))
    if not credits:
        return []
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    shown.add_column("rule")
    shown.add_column("credit, mean", justify="right")
    names = names_of(table)
    for rule, credit in credits.items():
        shown.add_row(names[rule], number(credit))
    return [Text(f"seed 0 alone, over {', '.join(tasks)}", style="bold"), shown, ""]


def _heading(item: Printed, seeds: str) -> str:
    """One word per line, so that "gap closed" is no wider than its numbers. A metric's heading stays on one line."""
    if item.is_metric:
        return f"{item.column.narrow or item.column.heading}{seeds}"
    if item.column.word:
        return item.column.heading
    return (item.column.narrow or item.column.heading).replace(" ", "\n", 1)


def _text(row: Values, item: Printed, seeds: str) -> Text:
    text = item.text(row)
    if item.is_metric:
        text = text.removesuffix(seeds)
    word = text.partition(" (")[0]  # without the number of seeds
    return Text(text.replace(", ", "\n"), style=STYLES.get(word, ""))
