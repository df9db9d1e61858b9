"""The types of columns: name, heading, meaning and reference, and how the values are computed and formatted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import pandas as pd
from typing_extensions import override

from grape_bench.score.row import Row

DRAFT_MARK = "†"
ABSENT = "–"
Values = Mapping[Any, Any]
"""One row of a data frame, by column name."""


class Kind(IntEnum):
    """How a value is formatted. Sentences in a caption have this order."""

    METRIC = 0  # mean ± half-width (seeds), or the status of a cell without a result
    MARK = 1  # true or false, shown on the metric: a draft
    NUMBER = 2
    TEXT = 3


class Shown(IntEnum):
    """Where a column appears."""

    FILE = 0  # only in table.csv
    PAGE = 1  # also on the web page
    PRINT = 2  # also in the terminal, Markdown and LaTeX


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A number that is shown somewhere: its name in the data, its heading, and one sentence on its meaning.

    `format` writes a value ("z" avoids "-0.00"). `axis` is the label of a figure's axis. `reference` is a section of
    the docs, relative to docs/, or a paper.
    """

    name: str
    heading: str
    meaning: str
    format: str = "z.2f"
    axis: str = ""
    reference: str = ""

    def text(self, values: Values) -> str:
        """The value with its interval [low, high], if there is one."""
        low, high = f"{self.name}_low", f"{self.name}_high"
        if low not in values or pd.isna(values[low]):
            return number(values[self.name], self.format)
        return f"{number(values[self.name], self.format)} [{number(values[low])}, {number(values[high])}]"


@dataclass(frozen=True, kw_only=True)
class Column(Quantity):
    """A column of the results table.

    `value` computes it from a row. `caption` is the sentence below a table that shows the column, or a function that
    makes the sentence from the column's values. An optional column without any value is left out; if BP is 1 by
    definition (`bp_is_1`), BP's value does not count. `of_table` marks a column that compares a rule with all others:
    only such a column changes when a rule is added. `narrow` is the heading for a terminal of 80 columns, and `wrap`
    the width below which the terminal does not wrap the text (None: it never wraps). `beside` is another column, and
    this one is left out together with it. A `word` is printed in a second table, below the scores and costs.
    """

    value: Callable[[Row], Any]
    kind: Kind = Kind.NUMBER
    shown: Shown = Shown.FILE
    unit: str = ""
    caption: str | Callable[[pd.Series], str] = ""
    optional: bool = True
    bp_is_1: bool = False
    of_table: bool = False
    narrow: str = ""
    wrap: int | None = None
    beside: str = ""
    word: bool = False

    @override
    def text(self, values: Values) -> str:
        """The value as a table shows it."""
        if self.kind is Kind.METRIC:
            return measured(values, self.name, self.format)
        value = values[self.name]
        if self.kind is Kind.NUMBER:
            return number(value, self.format)
        return str(value) or ABSENT


def number(value: float, form: str = "z.2f") -> str:
    """A value with fixed decimals, or a dash if it is missing."""
    return ABSENT if pd.isna(value) else format(value, form)


def measured(values: Values, name: str, form: str = "z.2f") -> str:
    """`97.31 ± 0.25`: mean and half-width, or the status of a cell without results."""
    if values["n"] == 0:
        return str(values["status"])
    if pd.isna(values[name]):  # the task has another metric
        return ABSENT
    spread = "" if pd.isna(values[f"{name}_ci"]) else f" ± {number(values[f'{name}_ci'], form)}"
    return f"{number(values[name], form)}{spread}"


def draft_mark(values: Values) -> str:
    """The mark of a draft, or nothing."""
    return DRAFT_MARK if values["draft"] else ""
