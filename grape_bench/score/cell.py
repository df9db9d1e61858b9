"""One cell of a benchmark: the records of one rule on one task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from grape_bench.record.record import Record
from grape_bench.record.status import Status
from grape_bench.score.interval import mean
from grape_bench.score.metric import METRICS, Metric


@dataclass(frozen=True)
class Cell:
    """The records of one (task, rule), by seed; values that no record has are NaN."""

    task: str
    rule: str
    records: tuple[Record, ...]

    @property
    def results(self) -> tuple[Record, ...]:
        """The records that count: finished or diverged. A crash or a limit says nothing about a rule."""
        return tuple(record for record in self.records if record.status.is_result)

    @property
    def metric(self) -> Metric:
        """What the task is scored by; accuracy where there is no result to tell."""
        names = [record.scored_by.name for record in self.results]
        return METRICS[names[0] if names else "accuracy"]

    @property
    def values(self) -> dict[int, float]:
        """What the test split gave for every seed with a result; chance where training diverged."""
        return {record.seed: record.test for record in self.results}

    @property
    def scores(self) -> dict[int, float]:
        """`values` on the scale of the formulas (see `metric`): more is better."""
        return {seed: self.metric.score(value) for seed, value in self.values.items()}

    @property
    def chance(self) -> float:
        """The score of guessing."""
        return mean({self.metric.score(record.scored_by.chance) for record in self.results})

    @property
    def trials(self) -> int:
        """Trials of the search that found the settings; 1 where the suite gives them (records of one cell agree)."""
        return self.records[0].job.trials

    @property
    def diverged(self) -> int:
        """The number of seeds whose loss did not stay finite."""
        return sum(record.status is Status.DIVERGED for record in self.results)

    @property
    def status(self) -> str:
        """What did not finish, such as "crashed 1/3, diverged 1/3"; empty when everything did."""
        words = Counter(record.status for record in self.records if record.status is not Status.FINISHED)
        return ", ".join(f"{word} {words[word]}/{len(self.records)}" for word in sorted(words))

    @property
    def hardware(self) -> tuple[str, ...]:
        """Hardware classes on which the results were measured, sorted."""
        return tuple(sorted({record.environment.hardware.kind for record in self.results}))

    @property
    def step_ratio(self) -> float:
        """Median over the profiled jobs of step time ÷ BP's, measured interleaved in one process."""
        ratios = sorted(record.profile.step_ratio for record in self.results if record.profile)
        return median(ratios) if ratios else float("nan")

    @property
    def flops_ratio(self) -> float:
        """Mean over the profiled jobs of counted FLOPs of a step ÷ BP's."""
        counts = [record.profile.flops for record in self.results if record.profile]
        return mean(count.total / count.bp for count in counts if count)

    @property
    def memory_kinds(self) -> frozenset[str]:
        """Ways in which peak memory was measured: "rss", "cuda"."""
        return frozenset(
            record.memory.kind for record in self.results if record.memory and record.memory.peak_bytes > 0
        )

    @property
    def peak_bytes(self) -> float:
        """Mean peak memory in bytes over the jobs in which it could be measured."""
        return mean(memory.peak_bytes for r in self.results if (memory := r.memory) and memory.peak_bytes > 0)

    @property
    def bp_fraction(self) -> float:
        """Mean counted fraction of autograd passes through hidden blocks, relative to BP."""
        counts = [record.credit.bp_fraction for record in self.results if record.credit]
        return mean(count for count in counts if count is not None)


def cells(records: Iterable[Record]) -> dict[tuple[str, str], Cell]:
    """Records grouped by (task, rule).

    Tasks and rules keep the order in which the records bring them, BP first in every task. Within a cell the
    records are sorted by seed, so that the order in which jobs ended changes no number.
    """
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.task, record.rule), []).append(record)
    tasks = list(dict.fromkeys(task for task, _ in groups))
    ordered = sorted(groups, key=lambda key: (tasks.index(key[0]), key[1] != "bp"))
    return {key: Cell(*key, tuple(sorted(groups[key], key=lambda record: record.seed))) for key in ordered}
