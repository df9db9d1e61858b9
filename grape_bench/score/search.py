"""The trials of a search for settings: which is best, and what fewer of them would have found."""

from __future__ import annotations

import math
from collections.abc import Sequence

from grape_bench.record.record import Record
from grape_bench.score.metric import METRICS, Metric


def complete(trials: Sequence[Record]) -> bool:
    """Whether every trial has a result; one that crashed would leave its rule with a smaller search."""
    return all(record.status.is_result for record in trials)


def validation_loss(record: Record) -> float | None:
    """A trial's loss in nats on the validation split; None where it diverged or is not finite."""
    return record.result.validation_loss if record.result else None


def best(trials: Sequence[Record]) -> Record:
    """The trial that is best on the validation split, of equal ones that with the lowest loss, then the first."""

    def merit(record: Record) -> tuple[float, float]:
        loss = validation_loss(record)
        return METRICS[record.scored_by.name].score(record.validation), -math.inf if loss is None else -loss

    return max(trials, key=merit)


def expected_best(values: Sequence[float], metric: Metric) -> list[float]:
    """For k = 1 to T: the mean over all choices of k of the T `values` of the best among them.

    Exact, by order statistics (Dodge et al. 2019, "Show your work", without replacement): the i-th lowest score
    is the highest in C(i - 1, k - 1) of the C(T, k) choices. The mean is taken on the scale of scores.
    """
    ordered, total = sorted(map(metric.score, values)), len(values)
    return [
        metric.value(sum(score * math.comb(rank, k - 1) for rank, score in enumerate(ordered)) / math.comb(total, k))
        for k in range(1, total + 1)
    ]
