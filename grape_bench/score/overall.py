"""Rules over all tasks: averages of norm acc, ranks, who beats whom, and the performance profile."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from grape_bench.score.best import Paired, best
from grape_bench.score.cell import Cell, Floats, Grid, aligned, common_seeds, differences, looks_of
from grape_bench.score.inference import (
    RESAMPLES,
    SEED,
    Bootstrapped,
    mean,
    over_looks,
    percentiles,
    resampled,
    sign_flip,
)
from grape_bench.score.labels import NO_NAMES, Names, labels
from grape_bench.score.lead import above_chance
from grape_bench.score.references import References
from grape_bench.score.row import Row

THRESHOLDS = np.round(np.arange(0, 1.1005, 0.005), 3)
ByTask = Mapping[str, Cell]
Runs = Sequence[Floats]
"""Norm acc of the runs of each task: (..., seeds)."""
Statistic = Callable[[Runs], Floats]


def overall(grid: Grid, given: Names = NO_NAMES) -> pd.DataFrame:
    """One row per rule, sorted by mean norm acc over the tasks on which BP is above chance, the best first.

    `columns.OVERALL` declares the columns. The intervals of norm_acc and iqm are in `_low` and `_high`. The table is
    empty if there are fewer than two tasks. `attrs["left_out"]` lists the rules without a result on every task, and
    `attrs["best"]` is the comparison with the best rule.
    """
    bp = {task: cell for (task, rule), cell in grid.items() if rule == "bp" and above_chance(cell)}
    rules = {rule: _complete(grid, rule, bp) for rule in dict.fromkeys(rule for _, rule in grid)}
    cells = {rule: by_task for rule, by_task in rules.items() if by_task}
    if len(bp) < 2:
        return pd.DataFrame()
    rank = ranks({key: cell for key, cell in grid.items() if key[0] in bp and key[1] in cells}).mean(axis=1)
    rows = [{**_row(rule, by_task, bp), "rank": float(rank[rule])} for rule, by_task in cells.items()]
    for row in rows:
        row["p"] = math.nan if row["rule"] == "bp" else _paired(cells[row["rule"]], bp, bp).p
    table = pd.DataFrame(rows).sort_values(["norm_acc", "rule"], ascending=[False, True], ignore_index=True)
    table.attrs["left_out"] = [rule for rule in rules if rule not in cells]
    means = {row["rule"]: row["norm_acc"] for row in rows}
    found = best(means, lambda first, second: _paired(cells[first], cells[second], bp))
    table.attrs["best"] = found.text(labels(means, given)) if found else ""
    return table


def norm_runs(rule: Cell, bp: Cell) -> Floats:
    """Norm acc of each run, (seeds,): (score - chance) / (mean of BP - chance), over the seeds that both have.

    The mean over seeds is the norm acc of the cell.
    """
    own, reference = aligned(rule, bp)
    runs: Floats = (own - rule.chance) / (reference.mean() - rule.chance)
    return runs


def bootstrap(rule: ByTask, bp: ByTask, statistic: Statistic, generator: np.random.Generator) -> Bootstrapped:
    """`statistic` of the norm acc of all runs of a rule, with its bootstrap interval.

    Seeds are resampled within each task, the rule's together with BP's, because a seed affects both. Tasks are
    visited by name, so their order changes no digit.

        tasks with 3 and 5 seeds, 10,000 resamples:
        drawn (10,000, 3) -> norm acc (10,000, 3);  drawn (10,000, 5) -> norm acc (10,000, 5)
        statistic([(10,000, 3), (10,000, 5)]) -> (10,000,), whose middle 95 % is the interval
    """
    tasks = sorted(rule)
    value = float(statistic([norm_runs(rule[task], bp[task]) for task in tasks]))
    samples = []
    for task in tasks:
        own, reference = aligned(rule[task], bp[task])
        n = len(own)
        if n < 2:
            return Bootstrapped(value, math.nan, math.nan)
        drawn = generator.integers(n, size=(RESAMPLES, n))
        own, reference = resampled(own, drawn), resampled(reference, drawn)
        chance = rule[task].chance
        samples.append((own - chance) / (reference.mean(-1, keepdims=True) - chance))
    return Bootstrapped(value, *percentiles(statistic(samples)))


def task_mean(runs: Runs) -> Floats:
    """Mean over tasks of the mean over seeds, (...)."""
    means: Floats = np.mean([task.mean(-1) for task in runs], axis=0)
    return means


def interquartile_mean(runs: Runs) -> Floats:
    """Mean of the middle half of all runs of all tasks together, (...) (Agarwal et al. 2021)."""
    together = np.sort(np.concatenate(runs, axis=-1), axis=-1)
    cut = together.shape[-1] // 4
    means: Floats = together[..., cut : together.shape[-1] - cut].mean(-1)
    return means


def pairs(first: ByTask, second: ByTask, bp: ByTask) -> list[list[float]]:
    """first - second in norm acc, for each seed that both and BP have. One list per task, ordered by name.

    `bp` has the tasks on which BP is above chance. A list is empty if BP is not, over those seeds alone.

        first 80, 84, second 70 and 72; BP 90, 92 and (without a partner) 20; chance 10:
        1 is (90 + 92) / 2 - 10 = 81 points -> 10 / 81, 12 / 81
    """
    every = []
    for task in sorted(bp):
        seeds = common_seeds((first[task], second[task], bp[task]))
        scale = mean(bp[task].scores[seed] for seed in seeds) - bp[task].chance
        differences = [first[task].scores[seed] - second[task].scores[seed] for seed in seeds]
        every.append([difference / scale for difference in differences] if scale > 0 else [])
    return every


def _complete(grid: Grid, rule: str, bp: ByTask) -> dict[str, Cell]:
    """The rule's cells by task. Empty unless BP is above chance on the seeds that they share, on every task."""
    own = {task: grid[task, rule] for task in bp if (task, rule) in grid}
    return own if len(own) == len(bp) and all(above_chance(bp[task], own[task]) for task in bp) else {}


def _row(rule: str, cells: ByTask, bp: ByTask) -> dict[str, Any]:
    row: dict[str, Any] = {
        "rule": rule,
        "runs": sum(len(norm_runs(cells[task], bp[task])) for task in cells),
    }
    for name, statistic in (("norm_acc", task_mean), ("iqm", interquartile_mean)):
        found = bootstrap(cells, bp, statistic, np.random.default_rng(SEED))
        row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    return row


def _paired(first: ByTask, second: ByTask, bp: ByTask) -> Paired:
    """Two rules over all (task, seed) pairs, in norm acc; NaN if they share no seed on some task."""
    by_task = pairs(first, second, bp)
    if not all(by_task):
        return Paired(math.nan, math.nan)
    return Paired(mean(map(mean, by_task)), paired_p(by_task, [*first.values(), *second.values()]))


def paired_p(pairs: Sequence[Sequence[float]], cells: Sequence[Cell]) -> float:
    """p of the paired sign-flip test over all (task, seed) pairs, corrected for the planned looks of `cells`."""
    return over_looks(sign_flip(pairs, SEED), looks_of(*cells))


def ranks(grid: Grid) -> pd.DataFrame:
    """The rank of each rule (rows) on each task (columns) by its mean score; 1 is the best, ties share the mean rank.

    NaN if a rule has no result on a task. Unlike a score, a rank depends on which other rules are in the table.
    """
    means = {key: mean(cell.scores.values()) for key, cell in grid.items()}
    return _unstacked(means).rank(ascending=False)


def _unstacked(values: Mapping[tuple[str, str], float]) -> pd.DataFrame:
    tasks, rules = (list(dict.fromkeys(key[i] for key in values)) for i in (0, 1))
    return pd.DataFrame([[values.get((task, rule), np.nan) for task in tasks] for rule in rules], rules, tasks)


def better(grid: Grid) -> pd.DataFrame:
    """P(the row's rule beats the column's): the share of common seeds on which it scores more, mean over tasks.

    A tie counts as half. NaN on the diagonal, and for two rules that share no seed on any task.
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


def performance_profile(grid: Grid) -> pd.DataFrame:
    """The share of a rule's runs whose credit reaches a threshold. The index holds thresholds, the columns rules.

    The credit of a run is (score - frozen) / (BP - frozen), with the means of the references over the common seeds.
    Shares are taken per task and averaged (Agarwal et al. 2021, "score distributions"). Only tasks on which BP is
    resolved to be above `frozen` count. A rule is left out unless BP is above `frozen` on the rule's own seeds too.
    """
    references = {task: References.of(grid, task) for task in sorted({task for task, _ in grid})}
    tasks = {task: found for task, found in references.items() if found.bp_above(found.frozen)}
    columns: dict[str, Floats] = {}
    for rule in dict.fromkeys(rule for _, rule in grid):
        credits = [_credits(grid.get((task, rule)), found) for task, found in tasks.items()]
        if tasks and all(len(credit) for credit in credits):
            columns[rule] = np.mean([(c[:, None] >= THRESHOLDS - 1e-12).mean(0) for c in credits], axis=0)
    return pd.DataFrame(columns, index=THRESHOLDS)


def _credits(cell: Cell | None, references: References) -> Floats:
    """The credit of each run, (seeds,). Empty where the credit of the cell is NaN."""
    if not cell or math.isnan(Row(cell, references).credit):
        return np.array([])
    assert references.bp and references.frozen  # a credit needs both
    own, high, low = aligned(cell, references.bp, references.frozen)
    credits: Floats = (own - low.mean()) / (high.mean() - low.mean())
    return credits
