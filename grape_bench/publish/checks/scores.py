"""Every score is possible: for its metric, its number of samples, and the score of guessing."""

from __future__ import annotations

import math
from collections.abc import Iterator

from grape_bench.objectives.names import METRIC_UNITS
from grape_bench.publish.submission import Submission
from grape_bench.record.record import Record
from grape_bench.score.metric import DEFAULT, METRICS

BALANCED = 1.25
"""If no class has more than this many times its balanced share, the score of guessing is 1 / classes."""

CONSTANT = {"roc_auc": 50.0, "r2": 0.0}
"""The score of guessing, where it does not depend on the data."""


def problems(submission: Submission) -> Iterator[str]:
    """Check units, chance, and that an accuracy is a whole number of samples with the matching standard error."""
    for name, record in submission.records.items():
        if record.metric is not None and record.status.is_result:
            found = [*_of_metric(record), *_of_accuracy(record)]
            yield from (f"{name}: {problem}" for problem in found)


def _of_metric(record: Record) -> Iterator[str]:
    metric = record.scored_by
    known = METRICS.get(metric.name)
    if known is None:
        return  # the check `records` says so
    if metric.unit != METRIC_UNITS[metric.name]:
        yield f"the unit of {metric.name} is {METRIC_UNITS[metric.name]!r}, not {metric.unit!a}"
    if not known.low <= metric.chance <= known.high:
        yield f"chance = {metric.chance} is no possible {known.label}"
    if metric.chance != CONSTANT.get(metric.name, metric.chance):
        yield f"the {metric.name} of guessing is {CONSTANT[metric.name]}, not {metric.chance}"
    losses = record.result and (record.result.test_loss, record.result.validation_loss, record.result.train_loss)
    if record.data is None:
        yield "the data set is not recorded"
    if losses and any(loss is not None and not math.isfinite(loss) for loss in losses):
        yield "a loss is not finite"
    if record.result and record.result.test_error is not None and record.result.test_error < 0:
        yield f"test_error = {record.result.test_error}"


def _of_accuracy(record: Record) -> Iterator[str]:
    """Accuracies of classes, without positions in a sample: each is a whole number of samples."""
    data = record.data
    classes = data.more.get("classes") if data else None
    if record.scored_by.name != DEFAULT.name or data is None or type(classes) is not int or classes < 2:
        return
    least, chance = 100 / classes, record.scored_by.chance
    if not math.isclose(chance, least, rel_tol=1e-9) and chance < BALANCED * least * (1 - 1e-9):
        yield f"guessing among {classes} classes has an accuracy of {least:.4g} or above {BALANCED * least:.4g}"
    if record.job.objective is not None:
        return  # it may leave out targets
    for where, part in (("result", record.result), ("features", record.features)):
        for split, value in (("test", part.test), ("validation", part.validation)) if part else ():
            size = data.sizes.get(split)
            if value is not None and size and not _whole(value * size / 100):
                yield f"{where}.{split} = {value} is no share of {size} samples"
        error = part.test_error if part else None
        if part and part.test is not None and error is not None:
            expected = DEFAULT.sampling_error(part.test, data.sizes.get("test") or 1)
            if not math.isclose(error, expected, rel_tol=1e-6, abs_tol=1e-9):
                yield f"{where}.test_error = {error}, but the test score gives {expected}"
    if record.result and (record.result.test_loss or 0) < 0:
        yield f"result.test_loss = {record.result.test_loss}"


def _whole(count: float) -> bool:
    return math.isfinite(count) and math.isclose(count, round(count), abs_tol=1e-4)
