"""The rows of the page's table: a text for people and a value to sort by for every cell."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd

from grape_bench.report.columns import DRAFT_MARK, labels, number
from grape_bench.score.results import Results


class Heading(NamedTuple):
    """A column: what the table must have for it to be shown, its name, and what it means."""

    needs: str
    name: str
    means: str
    digits: int = 2


HEADINGS = (
    Heading("task", "Task", "model, data set and budget"),
    Heading("score", "Test", "mean ± 95 % Student-t interval over seeds: accuracy in percent, or perplexity"),
    Heading("n", "Seeds", "seeds with a result"),
    Heading("credit", "Credit", "0 is head-only (hidden layers learned nothing), 1 is BP"),
    Heading("gap_closed", "Gap closed", "0 is DFA, 1 is BP"),
    Heading("norm_acc", "Norm acc", "0 is chance, 1 is BP"),
    Heading("step_ratio", "Step ÷ BP", "time of a training step, measured interleaved with BP's"),
    Heading("memory_ratio", "Memory ÷ BP", "peak memory of training"),
    Heading("flops_ratio", "FLOPs ÷ BP", "counted, of a training step"),
    Heading("bp_fraction", "BP fraction", "counted autograd passes through hidden blocks ÷ BP's", 3),
    Heading("verdict", "Verdict", "whether the run really trained its hidden layers"),
)


def rows(results: Results) -> list[dict[str, Any]]:
    """One per task and rule: `rule`, `name`, `task`, `best`, `draft`, and `cells` of (heading, text, value)."""
    names = labels(results.rules)
    shown = [heading for heading in HEADINGS if heading.needs in ("score", "task") or heading.needs in results.table]
    return [
        {
            "rule": row["rule"],
            "name": names[row["rule"]],
            "task": row["task"],
            "best": row["best"],
            "cells": [(heading, *_cell(row, heading, results)) for heading in shown],
        }
        for row in results.table.to_dict("records")
    ]


def _cell(row: dict[Any, Any], heading: Heading, results: Results) -> tuple[str, Any]:
    if heading.needs == "score":
        return _score(row, results)
    value = row[heading.needs]
    if heading.needs in ("task", "verdict"):
        return str(value), str(value)
    if heading.needs == "n":
        return f"{value}{DRAFT_MARK if row['draft'] else ''}", value
    return number(value, heading.digits), "" if pd.isna(value) else value


def _score(row: dict[Any, Any], results: Results) -> tuple[str, Any]:
    name = results.metric(row["task"]).name
    if row["n"] == 0:
        return str(row["status"]), ""
    spread = "" if pd.isna(row[f"{name}_ci"]) else f" ± {number(row[f'{name}_ci'])}"
    return f"{number(row[name])}{spread}", row[name]
