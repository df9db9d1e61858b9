"""One rule against another, paired by task and seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from grape_bench.score.aggregate import RESAMPLES, Estimate, percentiles, resampled_means
from grape_bench.score.cell import Cell
from grape_bench.score.interval import Interval, interval, mean
from grape_bench.score.paired import differences
from grape_bench.score.significance import LEVEL, holm, paired_t, sign_flip
from grape_bench.score.verdict import judge

SEED = 0
ByTask = Mapping[str, Cell]


@dataclass(frozen=True)
class References:
    """The cells by task that others are measured by."""

    bp: ByTask
    head_only: ByTask


@dataclass(frozen=True)
class OnTask:
    """One task: `difference` is first - second in score over the seeds in common, `p` Holm-adjusted.

    The score is accuracy in percent, or minus the logarithm of perplexity. Cost ratios are first ÷ second, NaN unless
    both were measured on one hardware class. `judged` says of each whether it has trained its hidden layers (see
    `verdict.judge`), "" where that cannot be told.
    """

    first: Cell
    second: Cell
    difference: Interval
    p: float
    step: float
    memory: float
    judged: tuple[str, str]

    @property
    def verdict(self) -> str:
        """ "above", "below", "not resolved", or "no result" where the two share no seed."""
        if self.difference.n == 0:
            return "no result"
        return _verdict(self.difference.mean, self.p)


@dataclass(frozen=True)
class Overall:
    """All tasks: the mean difference in norm acc where BP is known on every task, else in score (`unit` tells).

    `p` is of the paired sign-flip test over all (task, seed).
    """

    difference: Estimate
    unit: str
    p: float
    pairs: int

    @property
    def verdict(self) -> str:
        """ "above", "below" or "not resolved"."""
        return _verdict(self.difference.value, self.p)


@dataclass(frozen=True)
class Comparison:
    """What two names stand for, task by task and over all; `overall` is None below two tasks."""

    first: str
    second: str
    tasks: tuple[OnTask, ...]
    overall: Overall | None

    @property
    def worse(self) -> bool:
        """Whether `first` is resolved to be below, diverged on more seeds, or has no result where `second` has one."""
        lost = any(task.verdict in ("below", "no result") and task.second.results for task in self.tasks)
        diverged = any(task.first.diverged > task.second.diverged for task in self.tasks)
        return lost or diverged or (self.overall is not None and self.overall.verdict == "below")


def compare(first: tuple[str, ByTask], second: tuple[str, ByTask], references: References) -> Comparison:
    """The tasks that both have, in the order of the first; p-values are not yet corrected for other comparisons."""
    shared = [task for task in first[1] if task in second[1]]
    tasks = tuple(_on_task(first[1][task], second[1][task], references.head_only.get(task)) for task in shared)
    return Comparison(first[0], second[0], tasks, _overall(tasks, references.bp) if len(tasks) > 1 else None)


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same with Holm's correction: over all tasks of all comparisons, and over their overall rows."""
    by_task = holm({(i, j): task.p for i, c in enumerate(comparisons) for j, task in enumerate(c.tasks)})
    overall = holm({i: c.overall.p for i, c in enumerate(comparisons) if c.overall})
    return [
        replace(
            c,
            tasks=tuple(replace(task, p=by_task[i, j]) for j, task in enumerate(c.tasks)),
            overall=replace(c.overall, p=overall[i]) if c.overall else None,
        )
        for i, c in enumerate(comparisons)
    ]


def _on_task(first: Cell, second: Cell, head_only: Cell | None) -> OnTask:
    pairs = differences(first, second)
    one_class = len({*first.hardware, *second.hardware}) == 1
    one_kind = len(first.memory_kinds | second.memory_kinds) == 1
    return OnTask(
        first=first,
        second=second,
        difference=interval(pairs),
        p=paired_t(pairs),
        step=_step(first) / _step(second) if one_class else math.nan,
        memory=first.peak_bytes / second.peak_bytes if one_class and one_kind else math.nan,
        judged=(judge(first, head_only).word, judge(second, head_only).word),
    )


def _step(cell: Cell) -> float:
    return 1.0 if cell.rule == "bp" else cell.step_ratio


def _overall(tasks: Sequence[OnTask], bp: ByTask) -> Overall | None:
    scales = [_scale(task, bp) for task in tasks]
    known = all(scale > 0 for scale in scales)
    ordered = sorted(zip(tasks, scales, strict=True), key=lambda pair: pair[0].first.task)
    pairs = [[x / (s if known else 1) for x in differences(task.first, task.second)] for task, s in ordered]
    if not all(pairs):
        return None
    value = mean(mean(task) for task in pairs)
    spread = resampled_means(pairs, RESAMPLES, np.random.default_rng(SEED)) if min(map(len, pairs)) > 1 else None
    low, high = percentiles(spread) if spread is not None else (math.nan, math.nan)
    p = sign_flip(pairs, np.random.default_rng(SEED))
    return Overall(Estimate(value, low, high), "norm acc" if known else "score", p, sum(map(len, pairs)))


def _scale(task: OnTask, bp: ByTask) -> float:
    """What one unit of norm acc is worth on this task; NaN where BP has no result."""
    cell = bp.get(task.first.task)
    return mean(cell.scores.values()) - cell.chance if cell and cell.results else math.nan


def _verdict(difference: float, p: float) -> str:
    if math.isnan(p) or p > LEVEL:
        return "not resolved"
    return "above" if difference > 0 else "below"
