"""Every record is readable and complete and has a known schema."""

from __future__ import annotations

from collections.abc import Iterator

from grape_bench.publish.submission import Submission
from grape_bench.record.record import Record
from grape_bench.score.metric import METRICS


def problems(submission: Submission) -> Iterator[str]:
    """Find damaged records and impossible numbers."""
    if not submission.own:
        yield f"no record of the rule {submission.card.name!r}"
    yield from (f"{name}: {why}" for name, why in submission.damaged.items())
    for name, record in submission.records.items():
        yield from (f"{name}: {problem}" for problem in _impossible(record))


def _impossible(record: Record) -> Iterator[str]:
    if record.result is None or record.metric is None:
        return
    metric = METRICS.get(record.metric.name)
    if metric is None:
        yield f"metric {record.metric.name!r} cannot be scored"
        return
    for key, value in (("test", record.result.test), ("validation", record.result.validation)):
        if value is not None and not metric.low <= value <= metric.high:
            yield f"result.{key} = {value} is no possible {metric.label}"
