"""The table over all tasks: one row per rule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from grape_bench.score import best
from grape_bench.score.aggregate import bootstrap, interquartile_mean, norm_runs, task_mean
from grape_bench.score.cell import Cell
from grape_bench.score.interval import mean
from grape_bench.score.paired import common_seeds
from grape_bench.score.ranking import Grid, ranks
from grape_bench.score.significance import sign_flip

SEED = 0  # of the resampling, the same for every rule: a row never depends on which others there are
ByTask = Mapping[str, Cell]


def overall(grid: Grid) -> pd.DataFrame:
    """Rules by their mean norm acc over the tasks on which BP is above chance, the best first.

    rule, tasks, runs; norm_acc and iqm (interquartile mean over runs), each with its interval as `_low` and `_high`;
    rank (mean over tasks); p (of the difference from the best: paired sign-flip test over all (task, seed), Holm)
    and best (bold). Empty below two tasks. `attrs["left_out"]` holds the rules that lack a result on a task.
    """
    bp = {task: cell for (task, rule), cell in grid.items() if rule == "bp" and _above_chance(cell)}
    rules = {rule: _complete(grid, rule, bp) for rule in dict.fromkeys(rule for _, rule in grid)}
    cells = {rule: by_task for rule, by_task in rules.items() if by_task}
    if len(bp) < 2:
        return pd.DataFrame()
    rank = ranks({key: cell for key, cell in grid.items() if key[0] in bp and key[1] in cells}).mean(axis=1)
    rows = [{**_row(rule, by_task, bp), "rank": float(rank[rule])} for rule, by_task in cells.items()]
    standing = _standings({row["rule"]: row["norm_acc"] for row in rows}, cells, bp)
    for row in rows:
        row["p"], row["best"] = standing[row["rule"]]
    table = pd.DataFrame(rows).sort_values(["norm_acc", "rule"], ascending=[False, True], ignore_index=True)
    table.attrs["left_out"] = [rule for rule in rules if rule not in cells]
    return table


def pairs(first: ByTask, second: ByTask, bp: ByTask) -> list[list[float]]:
    """first - second in norm acc for every seed that both and BP have, task by task in the order of their names."""
    every = []
    for task in sorted(bp):
        seeds = common_seeds((first[task], second[task], bp[task]))
        scale = mean(bp[task].scores[seed] for seed in seeds) - bp[task].chance
        every.append([(first[task].scores[seed] - second[task].scores[seed]) / scale for seed in seeds])
    return every


def _above_chance(cell: Cell) -> bool:
    return mean(cell.scores.values()) > cell.chance


def _complete(grid: Grid, rule: str, bp: ByTask) -> dict[str, Cell]:
    """The rule's cells by task; none unless every task of BP's shares a seed with it."""
    own = {task: grid[task, rule] for task in bp if (task, rule) in grid and common_seeds((grid[task, rule], bp[task]))}
    return own if len(own) == len(bp) else {}


def _row(rule: str, cells: ByTask, bp: ByTask) -> dict[str, Any]:
    estimates = {
        name: bootstrap(cells, bp, statistic, np.random.default_rng(SEED))
        for name, statistic in (("norm_acc", task_mean), ("iqm", interquartile_mean))
    }
    row: dict[str, Any] = {
        "rule": rule,
        "tasks": len(cells),
        "runs": sum(len(norm_runs(cells[task], bp[task])) for task in cells),
    }
    for name, estimate in estimates.items():
        row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return row


def _standings(means: Mapping[str, float], cells: Mapping[str, ByTask], bp: ByTask) -> dict[str, best.Standing]:
    top = max(means, key=lambda rule: (means[rule], rule))
    tests = {}
    for rule in means:
        if rule != top:
            differences = pairs(cells[rule], cells[top], bp)
            tests[rule] = sign_flip(differences, np.random.default_rng(SEED)) if all(differences) else math.nan
    diverged = {rule for rule, by_task in cells.items() if any(cell.diverged for cell in by_task.values())}
    return best.standings(top, tests, diverged)
