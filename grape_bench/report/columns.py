"""The columns of a printed table: which there are, their headings, and how a value is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

import pandas as pd

from grape_bench.record.rule_name import RuleName
from grape_bench.score.table import DRAFT_BELOW

DRAFT_MARK = "†"
ABSENT = "–"
BOLD = "Bold: the best of a task, and what cannot be told from it (paired t-test, Holm, 5 %)."
Row = Mapping[Any, Any]


class Column(NamedTuple):
    """A printed column: the table's column it needs, its heading, and the text of one row."""

    needs: str
    heading: str
    text: Callable[[Row], str]


def columns(table: pd.DataFrame) -> list[Column]:
    """The columns that `table` can fill, the rule's name first."""
    names = labels(table["rule"])
    every = [
        Column("rule", "rule", lambda row: names[row["rule"]]),
        Column("accuracy", "accuracy (n)", lambda row: measured(row, "accuracy")),
        Column("perplexity", "perplexity (n)", lambda row: measured(row, "perplexity")),
        Column("credit", "credit", lambda row: number(row["credit"])),
        Column("gap_closed", "gap closed", lambda row: number(row["gap_closed"])),
        Column("step_ratio", "step ÷ BP", lambda row: number(row["step_ratio"])),
        Column("memory_ratio", "memory ÷ BP", lambda row: number(row["memory_ratio"])),
        Column("bp_fraction", "BP fraction", lambda row: number(row["bp_fraction"], digits=3)),
        Column("verdict", "verdict", lambda row: row["verdict"] or ABSENT),
    ]
    every = [column for column in every if column.needs in table]
    if "perplexity" in table and table["accuracy"].isna().all():
        every = [column for column in every if column.needs != "accuracy"]
    return every


def measured(row: Row, name: str) -> str:
    """`97.31 ± 0.25 (5)`: mean, half-width and n, marked when a draft; the status where n is 0."""
    if row["n"] == 0:
        return str(row["status"])
    if pd.isna(row[name]):  # the task has another metric
        return ABSENT
    spread: str = "" if pd.isna(row[f"{name}_ci"]) else f" ± {row[f'{name}_ci']:.2f}"
    return f"{row[name]:.2f}{spread} {measured_on(row)}"


def measured_on(row: Row) -> str:
    """`(5)`, or `(3)†` for a draft: the number of seeds."""
    return f"({row['n']}){DRAFT_MARK if row['draft'] else ''}"


def number(value: float, digits: int = 2) -> str:
    """A value with fixed decimals, never "-0.00"; a dash where it is missing."""
    return ABSENT if pd.isna(value) else f"{value:z.{digits}f}"


def labels(rules: Iterable[str]) -> dict[str, str]:
    """Short unambiguous names: `my/rules/new.py:Rule` is `Rule`, unless another rule is called so."""
    names = list(dict.fromkeys(rules))
    short = {name: RuleName.parse(name).label for name in names}
    count = Counter(short.values())
    return {name: label if count[label] == 1 else _with_file(name) for name, label in short.items()}


def _with_file(name: str) -> str:
    parsed = RuleName.parse(name)
    if not parsed.file:
        return name
    path = PurePath(parsed.file)
    return f"{path.parent.name}/{path.name}:{parsed.label}".lstrip("/")


def caption(table: pd.DataFrame) -> str:
    """What the numbers of `table` are, in one paragraph: n, interval, references, settings, hardware."""
    parts = ["Test accuracy in percent, mean ± 95 % Student-t interval over n seeds."]
    if "perplexity" in table:
        parts.append("Perplexity: of the mean log-loss, with the longer side of its interval.")
    if table["draft"].any():
        parts.append(f"{DRAFT_MARK} draft: fewer than {DRAFT_BELOW} seeds.")
    if table["best"].any():
        parts.append(BOLD)
    explained = {
        "credit": "Credit: 0 is head-only, 1 is BP.",
        "gap_closed": "Gap closed: 0 is DFA, 1 is BP.",
        "step_ratio": "Step: time of a training step, measured interleaved with BP's.",
        "memory_ratio": "Memory: peak of training.",
        "bp_fraction": "BP fraction: counted autograd passes through hidden blocks.",
    }
    parts += [text for name, text in explained.items() if name in table]
    if "trials" in table:
        parts += [_settings(int(trials)) for trials in sorted(table["trials"].unique())]
    if "hardware" in table:
        classes = sorted({name for cell in table["hardware"] for name in cell.split("; ") if name})
        parts.append(f"Hardware: {'; '.join(classes)}.")
    return " ".join(parts)


def _settings(trials: int) -> str:
    if trials == 1:
        return "Settings: the suite's own, untuned."
    return f"Settings: for each rule the best of {trials} trials on validation."


def footnotes(table: pd.DataFrame) -> list[str]:
    """What a reader must know of single cells: jobs without a result, ratios that could not be compared."""
    names = labels(table["rule"])
    notes = []
    if "status" in table:
        unfinished = table[(table["status"] != "") & (table["n"] > 0)]
        notes += [f"{row['task']}, {names[row['rule']]}: {row['status']}" for row in unfinished.to_dict("records")]
    return notes + list(table.attrs.get("notes", []))
