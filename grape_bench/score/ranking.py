"""Rank of a rule among the others, and the probability that one beats another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from grape_bench.score.cell import Cell
from grape_bench.score.interval import mean
from grape_bench.score.paired import differences

Grid = Mapping[tuple[str, str], Cell]


def ranks(grid: Grid) -> pd.DataFrame:
    """The rank of every rule (rows) on every task (columns) by its mean, 1 the best; ties share the mean rank.

    NaN where a rule has no result. A rank depends on which rules are in the table, as no score does.
    """
    means = {key: mean(cell.scores.values()) for key, cell in grid.items()}
    return _unstacked(means).rank(ascending=False)


def better(grid: Grid) -> pd.DataFrame:
    """P(row's rule beats column's): the share of common seeds where it scores more, ties half, mean over tasks.

    NaN on the diagonal and where two rules share no seed of a task.
    """
    rules = list(dict.fromkeys(rule for _, rule in grid))
    tasks = sorted({task for task, _ in grid})
    matrix = pd.DataFrame(np.nan, index=rules, columns=rules)
    for first in rules:
        for second in rules:
            if first != second:
                matrix.loc[first, second] = _better(grid, tasks, first, second)
    return matrix


def _better(grid: Grid, tasks: list[str], first: str, second: str) -> float:
    both = [
        differences(grid[task, first], grid[task, second])
        for task in tasks
        if (task, first) in grid and (task, second) in grid
    ]
    return mean(mean((x > 0) + 0.5 * (x == 0) for x in task) for task in both if task)


def _unstacked(values: Mapping[tuple[str, str], float]) -> pd.DataFrame:
    tasks, rules = (list(dict.fromkeys(key[i] for key in values)) for i in (0, 1))
    return pd.DataFrame([[values.get((task, rule), np.nan) for task in tasks] for rule in rules], rules, tasks)
