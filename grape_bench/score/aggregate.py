"""Rules over all tasks: mean and interquartile mean of norm acc, with a stratified bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from grape_bench.score.cell import Cell
from grape_bench.score.paired import aligned

RESAMPLES = 10_000
BOUNDS = (2.5, 97.5)
Runs = Sequence[np.ndarray]  # per task: (..., seeds)
Statistic = Callable[[Runs], np.ndarray]


class Estimate(NamedTuple):
    """A value and its 95 % percentile interval, NaN where a task has one seed."""

    value: float
    low: float
    high: float


def norm_runs(rule: Cell, bp: Cell) -> np.ndarray:
    """Norm acc of each run, (seeds,): (score - chance) / (mean of BP - chance), over the seeds in common.

    Its mean over seeds is the norm acc of the cell.
    """
    own, reference = aligned(rule, bp)
    return (own - rule.chance) / (reference.mean() - rule.chance)


def bootstrap(
    rule: Mapping[str, Cell], bp: Mapping[str, Cell], statistic: Statistic, generator: np.random.Generator
) -> Estimate:
    """`statistic` of the norm acc of all runs of one rule, cells by task.

    Seeds are resampled within each task, the rule's together with BP's, so that what a seed does to both stays
    paired. Resampled deviations are scaled by sqrt(n / (n - 1)): without it the variance of a mean of n seeds comes
    out as (n - 1) / n of what it is. Tasks are taken by name, so that their order changes no digit.
    """
    tasks = sorted(rule)
    value = float(statistic([norm_runs(rule[task], bp[task]) for task in tasks]))
    resampled = []
    for task in tasks:
        own, reference = aligned(rule[task], bp[task])
        n = len(own)
        if n < 2:
            return Estimate(value, np.nan, np.nan)
        drawn = generator.integers(n, size=(RESAMPLES, n))
        own, reference = (x.mean() + np.sqrt(n / (n - 1)) * (x[drawn] - x.mean()) for x in (own, reference))
        chance = rule[task].chance
        resampled.append((own - chance) / (reference.mean(-1, keepdims=True) - chance))
    return Estimate(value, *percentiles(statistic(resampled)))


def percentiles(values: np.ndarray) -> tuple[float, float]:
    """The ends of the middle 95 %."""
    low, high = np.percentile(values, BOUNDS)
    return float(low), float(high)


def resampled_means(tasks: Sequence[Sequence[float]], times: int, generator: np.random.Generator) -> np.ndarray:
    """Means over tasks of means over seeds, (times,), seeds resampled within tasks as `bootstrap` does it."""
    drawn = []
    for values in map(np.asarray, tasks):
        n = len(values)
        sample = values[generator.integers(n, size=(times, n))].mean(-1)
        drawn.append(values.mean() + np.sqrt(n / (n - 1)) * (sample - values.mean()))
    return np.mean(drawn, axis=0)


def task_mean(runs: Runs) -> np.ndarray:
    """Mean over tasks of the mean over seeds."""
    return np.mean([task.mean(-1) for task in runs], axis=0)


def interquartile_mean(runs: Runs) -> np.ndarray:
    """Mean of the middle half of all runs, of all tasks together (Agarwal et al. 2021)."""
    together = np.sort(np.concatenate(runs, axis=-1), axis=-1)
    cut = together.shape[-1] // 4
    return together[..., cut : together.shape[-1] - cut].mean(-1)
