"""What the page's charts are drawn from, as JSON types; a number that is missing is null."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from grape_bench.report.columns import labels
from grape_bench.report.palette import DASH_NAMES, MARKER_NAMES, on_dark, styles
from grape_bench.score.cell import Cell
from grape_bench.score.results import Results

AXES = ("epoch", "samples", "seconds")


def data(results: Results) -> dict[str, Any]:
    """Rules with their style, and per task what each of them reached, over time and at what cost."""
    names, style = labels(results.rules), styles(results.rules)
    rules = [
        {
            "id": rule,
            "name": names[rule],
            "light": style[rule].color,
            "dark": on_dark(style[rule].color),
            "dash": DASH_NAMES[style[rule].dash],
            "symbol": MARKER_NAMES[style[rule].marker],
        }
        for rule in results.rules
    ]
    profile = {str(rule): _numbers(100 * results.profile[rule]) for rule in results.profile}
    return {
        "rules": rules,
        "tasks": [_task(results, task) for task in results.tasks],
        "profile": {"credit": _numbers(results.profile.index), "rules": profile},
    }


def _task(results: Results, task: str) -> dict[str, Any]:
    metric = results.metric(task)
    table = results.table[results.table["task"] == task]
    rows = {row["rule"]: row for row in table.to_dict("records")}
    return {
        "name": task,
        "label": metric.label,
        "better": "lower" if metric.name == "perplexity" else "higher",
        "rules": {
            rule: {
                "mean": _number(row[metric.name]),
                "half": _number(row[f"{metric.name}_ci"]),
                "seeds": [_number(value) for value in results.grid[task, rule].values.values()],
                "step_ratio": _number(row.get("step_ratio")),
                "flops_ratio": _number(row.get("flops_ratio")),
                "curve": _curve(results.grid[task, rule], results),
            }
            for rule, row in rows.items()
            if row["n"]
        },
    }


def _curve(cell: Cell, results: Results) -> dict[str, list[float | None]]:
    """Means over seeds, up to the last epoch that every seed reached; empty where there is no curve."""
    curves = [results.curves[record.id] for record in cell.results if record.id in results.curves]
    if not curves:
        return {}
    by_epoch = [curve.assign(value=cell.metric.validation(curve)).set_index("epoch", drop=False) for curve in curves]
    columns = [*AXES, "value"]
    stacked = pd.concat([curve[columns] for curve in by_epoch], keys=range(len(by_epoch)), names=["seed", "at"])
    counts = stacked.groupby("at")["value"].count()
    mean = stacked.groupby("at").mean().loc[counts[counts == len(curves)].index]
    return {name: _numbers(mean[name]) for name in columns}


def _numbers(values: Iterable[Any]) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: Any) -> float | None:
    """6 significant digits are more than a screen shows."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
