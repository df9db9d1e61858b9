"""The first table of README.md: the credit of every rule on every task of the suite `core`, from results/core.

python -m benchmarks.front_page
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import page
from grape_bench.publish.overview import common
from grape_bench.record.folder import read_records
from grape_bench.report.markdown import pipe_table
from grape_bench.score.inference import mean
from grape_bench.score.labels import labels
from grape_bench.score.quantity import ABSENT, DRAFT_MARK, number
from grape_bench.score.table import score

RUNS = Path(__file__).parents[1] / "results" / "core" / "runs"
REFERENCES = ("bp", "frozen")


def table() -> str:
    """The test values of BP and the control, then a row of credits per rule.

    The rules are sorted by their mean credit on the tasks that all of them have. The step time is a mean over these.
    """
    rows = score(read_records(RUNS))
    tasks, names = list(dict.fromkeys(rows["task"])), labels(rows["rule"])
    cells = {(row["task"], row["rule"]): row for row in rows.to_dict("records")}
    lines = [
        [f"{names[rule]}: {_unit(rows, rule)}", *(_value(cells[task, rule]) for task in tasks), ABSENT]
        for rule in REFERENCES
    ]
    rules = [rule for rule in names if rule not in REFERENCES]
    shared = common([{task: cells[task, rule] for task in tasks if (task, rule) in cells} for rule in rules])
    for rule in sorted(rules, key=lambda one: -_mean(cells[task, one]["credit"] for task in shared)):
        own = [cells.get((task, rule)) for task in tasks]
        step = _mean(cells[task, rule]["step_ratio"] for task in shared)
        lines.append([names[rule], *("" if cell is None else number(cell["credit"]) for cell in own), number(step)])
    drafts = {*rows.loc[rows["draft"] & (rows["rule"] == "bp"), "task"]}
    heads = [f"{task} {DRAFT_MARK}" if task in drafts else task for task in tasks]
    return pipe_table(["rule", *heads, "step ÷ BP"], lines, [True] + [False] * (len(tasks) + 1))


def _unit(rows: pd.DataFrame, rule: str) -> str:
    metrics = dict.fromkeys(rows[rows["rule"] == rule]["metric"])
    return " or ".join("accuracy in %" if name == "accuracy" else name for name in metrics)


def _value(cell: Mapping[Any, Any]) -> str:
    return f"{cell['value']:.1f}"


def _mean(values: Iterable[Any]) -> float:
    return mean(float(value) for value in values if not pd.isna(value))


def main() -> None:
    """Write the table into README.md."""
    page.write("../README.md", "front_page", f"\n{table()}\n")


if __name__ == "__main__":
    main()
