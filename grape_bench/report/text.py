"""The parts that all printed tables share: the choice of columns, the names of rules, the caption and the notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from grape_bench.score import columns
from grape_bench.score.labels import NO_NAMES, labels
from grape_bench.score.lite import LITE_MARK
from grape_bench.score.metric import METRICS
from grape_bench.score.open_rows import OPEN_MARK, marked
from grape_bench.score.quantity import Column, Kind, Shown, Values, draft_mark

_FIRST = ("rule", "task", "verdict", "credit", "vs_bp", "vs_dfa", "vs_control")
"""The first columns of the page. The metrics come before the verdict."""


@dataclass(frozen=True)
class Printed:
    """A column of one printed table. `names` maps each rule of the table to its label."""

    column: Column
    names: Mapping[str, str]
    with_seeds: bool

    @property
    def heading(self) -> str:
        """The heading. For a metric it says that the number of seeds follows."""
        return f"{self.column.heading} (n)" if self.has_seeds else self.column.heading

    @property
    def title(self) -> str:
        """The heading with a capital, for the web page."""
        return self.column.heading[0].upper() + self.column.heading[1:]

    @property
    def has_seeds(self) -> bool:
        """True if each text ends with the number of seeds, as `(5)` or `(3)†`."""
        return self.with_seeds and self.is_metric

    @property
    def is_metric(self) -> bool:
        """True for the column of a metric."""
        return self.column.kind is Kind.METRIC

    @property
    def lower_is_better(self) -> bool:
        """True for a metric such as perplexity, which the page sorts from the lowest value."""
        return self.is_metric and not METRICS[self.column.name].higher_is_better

    @property
    def left(self) -> bool:
        """True if the column is aligned to the left."""
        return self.column.kind is Kind.TEXT

    def text(self, values: Values) -> str:
        """The text in the row `values`."""
        if self.column.name == "rule":
            return self.names[values["rule"]]
        text = self.column.text(values)
        if self.column.name == "n":
            return text + draft_mark(values)
        if self.has_seeds and values["n"] > 0 and not pd.isna(values[self.column.name]):
            return f"{text} {in_brackets(values)}"
        return text


def printed(table: pd.DataFrame, task: str = "") -> list[list[Printed]]:
    """The columns of `table` in the terminal, Markdown and LaTeX, as two tables one above the other.

    The first has the scores and costs, and the second the words. Both start with the rule. The second is left out if it
    is empty. With a `task`, only the columns with a value on this task are shown. `attrs["columns"]` may name other
    columns, which then form a single table in that order.
    """
    if asked := table.attrs.get("columns"):
        every = {item.column.name: item for item in _printed(table, Shown.FILE, with_seeds=True)}
        return [[every[name] for name in ("rule", *asked) if name in every]]
    chosen = _printed(table, Shown.PRINT, with_seeds=True)
    if task:
        rows = table[table["task"] == task]
        of_task = {column.name for column in _columns(rows)}
        chosen = [item for item in chosen if item.column.name in of_task and (item.is_metric or _any(rows, item))]
    rule, words = [item for item in chosen if item.column.name == "rule"], [item for item in chosen if item.column.word]
    first = [item for item in chosen if not item.column.word]
    return [first, rule + words] if words else [first]


def _any(rows: pd.DataFrame, item: Printed) -> bool:
    """Whether a row has a value in the column. BP's ratio to itself does not count."""
    values = rows.loc[rows["rule"] != "bp", item.column.name] if item.column.bp_is_1 else rows[item.column.name]
    return bool((values.notna() & (values != "")).any())


def on_page(table: pd.DataFrame) -> list[Printed]:
    """The columns of `table` on the web page, which has a column for the number of seeds.

    The score and the verdict come first: a small screen shows no others without a scroll.
    """
    found = _printed(table, Shown.PAGE, with_seeds=False)
    place = {name: number for number, name in enumerate(_FIRST)}
    return sorted(found, key=lambda item: 1.5 if item.is_metric else place.get(item.column.name, len(place)))


def _printed(table: pd.DataFrame, least: Shown, *, with_seeds: bool) -> list[Printed]:
    names = names_of(table)
    return [Printed(column, names, with_seeds) for column in _columns(table) if column.shown >= least]


def _columns(table: pd.DataFrame) -> list[Column]:
    """The declared columns that `table` has, without metrics that none of its tasks use."""
    every = [column for column in columns.COLUMNS if column.name in table]
    used = {column.name for column in every if column.kind is Kind.METRIC and table[column.name].notna().any()}
    return [column for column in every if column.kind is not Kind.METRIC or column.name in used or not used]


def names_of(table: pd.DataFrame) -> dict[str, str]:
    """The label of each rule in a row of `table`. Lite and open rows are marked."""
    lite, names = table.attrs.get("lite", ()), marked(_labels(table))
    return {rule: f"{label}{LITE_MARK}" if rule in lite else label for rule, label in names.items()}


def _labels(table: pd.DataFrame) -> dict[str, str]:
    return labels(table["rule"], table.attrs.get("names", NO_NAMES))


def in_brackets(values: Values) -> str:
    """The number of seeds: `(5)`, or `(3)†` for a draft."""
    return f"({values['n']}){draft_mark(values)}"


def caption(table: pd.DataFrame) -> str:
    """One paragraph that explains the numbers of `table`: the captions of its columns."""
    ordered = sorted(_columns(table), key=lambda column: column.kind)
    sentences = [*(_sentence(column, table) for column in ordered), *table.attrs.get("stated", [])]
    return " ".join(dict.fromkeys(filter(None, sentences)))


def short_caption(table: pd.DataFrame) -> str:
    """The sentences on the metrics and numbers that are printed, for a caption above or below a table in a paper."""
    columns = [item.column for part in printed(table) for item in part]
    marks = [column for column in _columns(table) if column.kind is Kind.MARK]
    ordered = sorted([*columns, *marks], key=lambda column: column.kind)
    sentences = [_sentence(column, table) for column in ordered if column.kind is not Kind.TEXT]
    # The caption also explains the marks that the table prints on names.
    sentences += [text for text in table.attrs.get("stated", []) if text.startswith((LITE_MARK, OPEN_MARK))]
    return " ".join(dict.fromkeys(filter(None, sentences)))


def _sentence(column: Column, table: pd.DataFrame) -> str:
    return column.caption if isinstance(column.caption, str) else column.caption(table[column.name])


def best_lines(table: pd.DataFrame) -> dict[str, str]:
    """Task -> the comparison of its rules with the best one, which depends on every row of the table."""
    found: dict[str, str] = table.attrs.get("best", {})
    return found


def footnotes(table: pd.DataFrame) -> list[str]:
    """Notes on single cells: jobs without a result, and ratios that could not be compared."""
    names = _labels(table)
    notes = []
    if "status" in table:
        unfinished = table[(table["status"] != "") & (table["n"] > 0)]
        notes += [f"{row['task']}, {names[row['rule']]}: {row['status']}" for row in unfinished.to_dict("records")]
    return notes + list(table.attrs.get("notes", []))
