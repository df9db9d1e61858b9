"""One cell of a benchmark: the records of one rule on one task. Pairs of cells share seeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

import numpy as np
import numpy.typing as npt

from grape_bench.errors import UserError
from grape_bench.record.record import Record
from grape_bench.record.rule_name import RuleName
from grape_bench.record.status import Status
from grape_bench.score.inference import mean
from grape_bench.score.labels import in_rows
from grape_bench.score.metric import DEFAULT, METRICS, Metric

LEAST_RESIDENT = 64 * 2**20
"""Resident memory in bytes below which a peak is mostly what the allocator keeps."""

ONE_PASS = 1.01
"""Forward or backward passes per training step above which a rule has extra passes."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """The records of one (task, rule), sorted by seed. A value that no record has is NaN.

    Every value is computed once: a table asks for the scores of a cell hundreds of times.
    """

    task: str
    rule: str
    records: tuple[Record, ...]

    @cached_property
    def results(self) -> tuple[Record, ...]:
        """The records that count: finished or diverged. A crash or a time limit says nothing about a rule."""
        return tuple(record for record in self.records if record.status.is_result)

    @cached_property
    def metric(self) -> Metric:
        """The metric of the task. Defaults to accuracy if there is no result.

        Raises UserError if this version does not know it.
        """
        names = [record.scored_by.name for record in self.results]
        if names and names[0] not in METRICS:
            raise UserError(f"the metric {names[0]!r} cannot be scored", where=f"{self.task} {self.rule}")
        return METRICS[names[0]] if names else DEFAULT

    @cached_property
    def values(self) -> dict[int, float]:
        """Seed -> test value, for every seed with a result. A diverged run gets the value of chance."""
        return {record.seed: record.test for record in self.results}

    @cached_property
    def scores(self) -> dict[int, float]:
        """Seed -> score: `values` on the metric's scale where more is better."""
        score = self.metric.score
        return {seed: score(value) for seed, value in self.values.items()}

    @cached_property
    def feature_scores(self) -> dict[int, float]:
        """Seed -> score of a converged head on the run's features. A diverged run gets the score of guessing."""
        values = {record.seed: record.features.test for record in self.results if record.features}
        values |= {record.seed: record.test for record in self.results if record.status is Status.DIVERGED}
        return {seed: self.metric.score(value) for seed, value in values.items()}

    @cached_property
    def _by_seed(self) -> dict[int, Record]:
        return {record.seed: record for record in reversed(self.results)}

    def sampling_error(self, seed: int) -> float:
        """The standard error of the score of `seed` due to the test samples, or 0 if it is unknown."""
        record = self._by_seed[seed]
        if record.result and record.result.test_error is not None:
            return record.result.test_error
        size = record.data.sizes.get("test", 0) if record.data else 0
        return self.metric.sampling_error(record.test, size) if size else 0.0

    @cached_property
    def chance(self) -> float:
        """The score of guessing."""
        return mean({self.metric.score(record.scored_by.chance) for record in self.results})

    @cached_property
    def trials(self) -> int:
        """Number of tuning trials behind the settings; 1 if the suite's settings were used untuned."""
        return self.records[0].job.trials

    @cached_property
    def is_open(self) -> bool:
        """Whether the settings are open: sent by anyone, and found with any number of trials."""
        return RuleName.parse(self.rule).is_open

    @cached_property
    def open_by(self) -> str:
        """Who sent the settings; "" if they are not open."""
        return (self.records[0].job.open_by or "unknown") if self.is_open else ""

    @cached_property
    def diverged(self) -> int:
        """Number of seeds whose loss became infinite or NaN."""
        return sum(record.status is Status.DIVERGED for record in self.results)

    @cached_property
    def looks(self) -> int:
        """The planned looks at the results that set the number of seeds; 1 if it was fixed in advance."""
        return max((record.job.looks or 1 for record in self.records), default=1)

    @cached_property
    def status(self) -> str:
        """What did not finish, such as "crashed 1/3, diverged 1/3". Empty if everything finished."""
        words = Counter(record.status for record in self.records if record.status is not Status.FINISHED)
        return ", ".join(f"{word} {words[word]}/{len(self.records)}" for word in sorted(words))

    @cached_property
    def hardware(self) -> tuple[str, ...]:
        """Hardware classes of the results, sorted."""
        return tuple(sorted({record.environment.hardware.kind for record in self.results}))

    @cached_property
    def step_ratio(self) -> float:
        """Step time ÷ BP's, measured in turns in one process: median over the profiled jobs. BP's own is 1."""
        if self.rule == "bp" and self.results:
            return 1.0
        ratios = sorted(record.profile.step_ratio for record in self.results if record.profile)
        return median(ratios) if ratios else math.nan

    @cached_property
    def flops_ratio(self) -> float:
        """Counted FLOPs of a step ÷ BP's: mean over the profiled jobs. BP's own is 1."""
        if self.rule == "bp" and self.results:
            return 1.0
        counts = [record.profile.flops for record in self.results if record.profile]
        return mean(count.total / count.bp for count in counts if count)

    def memory_ratio(self, other: Cell | None) -> float:
        """Mean peak memory ÷ that of `other`; NaN if the two were measured differently, or one was not measured.

        NaN also if a peak is resident memory below `LEAST_RESIDENT`, which is mostly the allocator's.
        """
        # The resident memory of a process and the allocated memory of a GPU are different quantities.
        if other is None or len(kinds := self.memory_kinds | other.memory_kinds) != 1:
            return math.nan
        if "rss" in kinds and min(self.peak_bytes, other.peak_bytes) < LEAST_RESIDENT:
            return math.nan
        return self.peak_bytes / other.peak_bytes

    @cached_property
    def live_ratio(self) -> float:
        """Peak bytes of live tensors in a step ÷ BP's: mean over the profiled jobs. BP's own is 1."""
        if self.rule == "bp" and self.results:
            return 1.0
        counts = [record.memory for record in self.results if record.memory]
        return mean(
            count.live_bytes / count.bp_live_bytes for count in counts if count.live_bytes and count.bp_live_bytes
        )

    @cached_property
    def memory_kinds(self) -> frozenset[str]:
        """How peak memory was measured: "rss", "cuda"."""
        return frozenset(
            record.memory.kind for record in self.results if record.memory and record.memory.peak_bytes > 0
        )

    @cached_property
    def peak_bytes(self) -> float:
        """Mean peak memory in bytes. A peak of 0 was too short to be seen and does not count."""
        return mean(memory.peak_bytes for r in self.results if (memory := r.memory) and memory.peak_bytes > 0)

    @cached_property
    def bp_fraction(self) -> float:
        """Counted autograd passes through hidden blocks ÷ BP's: mean over seeds."""
        counts = [record.credit.bp_fraction for record in self.results if record.credit]
        return mean(count for count in counts if count is not None)

    @cached_property
    def forward_passes(self) -> float:
        """Forward passes of the network per training step: mean over seeds."""
        credits = [record.credit for record in self.results if record.credit]
        return mean(one.forward_passes / one.steps for one in credits if one.forward_passes and one.steps)

    @cached_property
    def backward_passes(self) -> float:
        """Backward passes of the network per training step: mean over seeds."""
        credits = [record.credit for record in self.results if record.credit]
        return mean(one.backward_passes / one.steps for one in credits if one.steps)

    @cached_property
    def transport(self) -> str:
        """What the backward pass takes from the weights, such as `none; all in 0.5 % of steps`. "" if not measured."""
        return "; ".join(dict.fromkeys(filter(None, map(_transport, self.results))))

    @cached_property
    def entrant(self) -> str:
        """The class of entrant, from what was counted: see docs/rule-book.md. "" if it was not measured."""
        if any(record.credit and record.credit.own_steps for record in self.results):
            return "own optimizer"
        passes = max(self.forward_passes, self.backward_passes)
        if math.isnan(passes):
            return ""
        return "one pass" if passes <= ONE_PASS else "extra passes"


def _transport(record: Record) -> str:
    credit = record.credit
    if credit is None or credit.transport is None:
        return ""
    allowed = " (allowed)" if credit.transport_allowed else ""
    anchors = f"; all in {100 * credit.anchor_share:.3g} % of steps" if credit.anchor_share else ""
    return f"{credit.transport}{allowed}{anchors}"


Grid = Mapping[tuple[str, str], Cell]
"""Cells by (task, rule)."""


def cells(records: Iterable[Record]) -> dict[tuple[str, str], Cell]:
    """Group `records` by (task, rule).

    Tasks and rules keep the order of the records, except that BP comes first in every task, and a rule with open
    settings right after the rule. A cell's records are sorted by seed, so the order in which jobs ended changes no
    number.
    """
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.task, record.rule), []).append(record)
    rules: dict[str, list[str]] = {}
    for task, rule in sorted(groups, key=lambda key: key[1] != "bp"):
        rules.setdefault(task, []).append(rule)
    ordered = [(task, rule) for task in dict.fromkeys(task for task, _ in groups) for rule in in_rows(rules[task])]
    return {key: Cell(*key, tuple(sorted(groups[key], key=lambda record: record.seed))) for key in ordered}


def by_task(grid: Grid) -> dict[str, dict[tuple[str, str], Cell]]:
    """The part of `grid` that belongs to each task, in the order of the grid."""
    found: dict[str, dict[tuple[str, str], Cell]] = {}
    for key, cell in grid.items():
        found.setdefault(key[0], {})[key] = cell
    return found


def common_seeds(group: Sequence[Cell | None]) -> list[int]:
    """The seeds with a result in every cell, ascending. Empty if a cell is missing."""
    seeds = [set(cell.scores) if cell else set() for cell in group]
    return sorted(set.intersection(*seeds)) if seeds else []


def means(*group: Cell | None) -> list[float]:
    """The mean score of each cell over the seeds that all cells share. NaN for a missing cell."""
    seeds = common_seeds(group)
    return [mean(cell.scores[seed] for seed in seeds) if cell else math.nan for cell in group]


def differences(first: Cell, second: Cell) -> list[float]:
    """Score of `first` - score of `second` for each seed that both have, by seed."""
    one, other = first.scores, second.scores
    return [one[seed] - other[seed] for seed in common_seeds((first, second))]


def aligned(*group: Cell) -> list[Floats]:
    """The scores of each cell over the seeds that all cells share, as arrays (seeds,)."""
    seeds = common_seeds(group)
    return [np.array([cell.scores[seed] for seed in seeds]) for cell in group]


def looks_of(*group: Cell | None) -> int:
    """The most looks behind the seeds of any of the cells."""
    return max((cell.looks for cell in group if cell), default=1)


def hardware_classes(cell: Cell, bp: Cell | None, grid: Grid) -> list[str]:
    """The hardware classes of `cell` and its reference, sorted. Their costs are comparable if there is only one.

    The reference is BP on the same task, so adding a rule from another machine does not affect other rules' numbers.
    Without BP the reference is every rule of the task.
    """
    if bp is not None and bp.results:
        return sorted({*cell.hardware, *bp.hardware})
    return sorted({name for other in grid.values() if other.task == cell.task for name in other.hardware})
