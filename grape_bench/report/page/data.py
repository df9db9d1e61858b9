"""The data of the page's charts, as JSON types. A missing number is null."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from grape_bench.report.figures.tradeoff import available
from grape_bench.report.palette import DASH_NAMES, KNOWN, MARKER_NAMES, on_dark, styles
from grape_bench.score.cell import Cell
from grape_bench.score.columns import COLUMN, CURVE, REACHED
from grape_bench.score.quantity import Column, Quantity
from grape_bench.score.results import Results
from grape_bench.score.verdict import TRAINED


def data(results: Results) -> dict[str, Any]:
    """Rules with their styles, the results of each task, and the performance profile."""
    names, style = results.names, styles(results.rules)
    rules = [
        {
            "id": rule,
            "name": names[rule],
            "ranked": rule in results.ranked,
            "light": style[rule].color,
            "dark": on_dark(style[rule].color),
            "dash": DASH_NAMES[style[rule].dash],
            "symbol": MARKER_NAMES[style[rule].marker],
            "known": rule in KNOWN,
        }
        for rule in results.rules
    ]
    profile = {str(rule): _numbers(100 * results.profile[rule]) for rule in results.profile}
    return {
        "rules": rules,
        "costs": [{"name": cost.name, "heading": cost.heading} for cost in costs_of(results)],
        "curve": [{"name": axis.name, "heading": axis.heading} for axis in curve_axes(results)],
        "tasks": [_task(results, task) for task in results.tasks],
        "profile": {
            "credit": _numbers(results.profile.index),
            "axes": [COLUMN["credit"].axis, REACHED.axis],
            "rules": profile,
        },
    }


def costs_of(results: Results) -> list[Column]:
    """The costs that were measured. If none was, the step time, which the chart then says is missing."""
    return available(results) or [COLUMN["step_ratio"]]


def curve_axes(results: Results) -> list[Quantity]:
    """The horizontal axes of learning curves, including the cost of a comparison at equal cost."""
    return [*CURVE, *([results.equal.axis.quantity] if results.equal else [])]


def _task(results: Results, task: str) -> dict[str, Any]:
    metric = results.metric(task)
    table = results.table[results.table["task"] == task]
    rows = {row["rule"]: row for row in table.to_dict("records")}
    curves = _curves([results.grid[task, rule] for rule in rows], results)
    return {
        "name": task,
        "label": metric.label,
        "better": "higher" if metric.higher_is_better else "lower",
        "rules": {
            rule: {
                "mean": _number(row[metric.name]),
                "half": _number(row[f"{metric.name}_ci"]),
                "seeds": [_number(value) for value in results.grid[task, rule].values.values()],
                "costs": {cost.name: _number(row.get(cost.name)) for cost in costs_of(results)},
                "curve": curves.get(rule, {}),
                "open": row.get("verdict", "") not in ("", TRAINED),
                "alignment": _alignment(results, task, rule),
            }
            for rule, row in rows.items()
            if row["n"]
        },
    }


def _alignment(results: Results, task: str, rule: str) -> dict[str, list[float | None]]:
    """Over training: the cosine of the mean block, of the first and the last one, and of fresh random feedback."""
    cosines = results.alignment.get((task, rule))
    if cosines is None:
        return {}
    null = results.null_alignment.get((task, rule))
    level = [] if null is None else np.sqrt((null.reindex(columns=cosines.columns) ** 2).mean(axis=0))
    return {
        "samples": _numbers(cosines.columns),
        "mean": _numbers(cosines.mean(axis=0)),
        "first": _numbers(cosines.iloc[0]),
        "last": _numbers(cosines.iloc[-1]),
        "null": _numbers(level),
    }


def _curves(cells: Sequence[Cell], results: Results) -> dict[str, dict[str, list[float | None]]]:
    """By rule: means over seeds, up to the last epoch that every seed reached. A rule without a curve is left out.

    All cells are averaged together, because pandas takes longer for a call than for a curve.
    """
    names = [*(axis.name for axis in curve_axes(results)), "value"]
    found, seeds = [], {}
    for cell in cells:
        curves = [results.curves[record.id] for record in cell.results if record.id in results.curves]
        seeds[cell.rule] = len(curves)
        for curve in curves:
            values = curve.assign(value=cell.metric.validation(curve), cost=_costs(results, cell, curve))[names]
            found.append(values.assign(rule=cell.rule, at=curve["epoch"]))
    if not found:
        return {}
    groups = pd.concat(found).groupby(["rule", "at"])
    counts, means = groups["value"].count(), groups[names].mean()
    means = means[counts == counts.index.get_level_values("rule").map(seeds)]
    by_rule = {str(rule): {name: _numbers(mean[name]) for name in names} for rule, mean in means.groupby("rule")}
    return {rule: by_rule.get(rule, {name: [] for name in names}) for rule, count in seeds.items() if count}


def _costs(results: Results, cell: Cell, curve: pd.DataFrame) -> list[float] | float:
    """The cost of each evaluation in a comparison at equal cost; NaN if the rule has none."""
    own = results.equal.paths.get(cell.task, {}).get(cell.rule) if results.equal else None
    return own.costs(curve) if own and own.spending else math.nan


def _numbers(values: Iterable[Any]) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: Any) -> float | None:
    """Round to 6 significant digits, which is more than a screen shows."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
