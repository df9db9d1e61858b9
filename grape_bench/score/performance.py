"""Performance profile: how many of a rule's runs reach a given credit."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grape_bench.score.paired import aligned
from grape_bench.score.ranking import Grid

THRESHOLDS = np.round(np.arange(0, 1.1005, 0.005), 3)


def profile(grid: Grid) -> pd.DataFrame:
    """The share of runs whose credit is at least the threshold: index the thresholds, a column per rule.

    A run's credit is (score - head-only) / (BP - head-only), with the references' means over the seeds in common;
    shares are taken per task and averaged (Agarwal et al. 2021, "score distributions"). Only tasks on which BP is
    above head-only count, and only rules with a result on all of these.
    """
    tasks = [task for task in sorted({task for task, _ in grid}) if _gap(grid, task) > 0]
    columns: dict[str, np.ndarray] = {}
    for rule in dict.fromkeys(rule for _, rule in grid):
        credits = [_credits(grid, task, rule) for task in tasks]
        if tasks and all(len(credit) for credit in credits):
            columns[rule] = np.mean([(c[:, None] >= THRESHOLDS - 1e-12).mean(0) for c in credits], axis=0)
    return pd.DataFrame(columns, index=THRESHOLDS)


def _gap(grid: Grid, task: str) -> float:
    return float(np.mean(_references(grid, task)[0]) - np.mean(_references(grid, task)[1]))


def _references(grid: Grid, task: str) -> tuple[np.ndarray, np.ndarray]:
    if (task, "bp") not in grid or (task, "head-only") not in grid:
        return np.array([np.nan]), np.array([np.nan])
    high, low = aligned(grid[task, "bp"], grid[task, "head-only"])
    return (high, low) if len(high) else (np.array([np.nan]), np.array([np.nan]))


def _credits(grid: Grid, task: str, rule: str) -> np.ndarray:
    if (task, rule) not in grid:
        return np.array([])
    own, high, low = aligned(grid[task, rule], grid[task, "bp"], grid[task, "head-only"])
    return (own - low.mean()) / (high.mean() - low.mean()) if len(own) else own
