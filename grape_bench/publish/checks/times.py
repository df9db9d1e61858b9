"""Every date and time is possible, and the times of a job add up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from grape_bench.publish.submission import Submission
from grape_bench.record.parts import Time
from grape_bench.record.record import Record
from grape_bench.record.rule_name import FROZEN
from grape_bench.record.table import Table
from grape_bench.record.typed_json import encode

AHEAD = timedelta(days=1)
"""How far a clock may be ahead."""

SLACK_S = 1.0
"""Seconds by which a job's own clock and its dates may differ, in addition to 1 % of the time."""

ROUNDING_S = 0.01
"""How far below zero a difference of two clocks may be, in seconds."""


def problems(submission: Submission) -> Iterator[str]:
    """Check that dates are in order and not in the future, and that seconds, steps and samples fit each other."""
    for name, record in submission.records.items():
        found = [*_dates(record)]
        if record.time is not None:
            found += [*_seconds(record.time), *_steps(record, record.time)]
            if curve := submission.curves.get(name):
                found += _clock(record.time, curve)
        yield from (f"{name}: {problem}" for problem in found)


def _dates(record: Record) -> Iterator[str]:
    try:
        started, ended = (datetime.fromisoformat(text) for text in (record.started, record.ended))
        wall = (ended - started).total_seconds()
        late = ended > datetime.now(UTC) + AHEAD
    except (ValueError, TypeError, OverflowError):
        yield f"started {record.started!a}, ended {record.ended!a}: no dates with a time zone"
        return
    if wall < 0:
        yield f"it ended ({record.ended}) before it started ({record.started})"
    if late:
        yield f"it ended in the future ({record.ended})"
    total = record.time.total_s if record.time else None
    if total is not None and not (record.time and record.time.resumed) and total > 1.01 * wall + SLACK_S:
        yield f"it took {total:.4g} s, but only {wall:.4g} s passed from its start to its end"


def _seconds(time: Time) -> Iterator[str]:
    parts = {name: value for name, value in encode(time).items() if name.endswith("_s") and name != "total_s"}
    for name, value in parts.items():
        if not -ROUNDING_S <= value < math.inf:
            yield f"time.{name} = {value}"
    total = time.total_s
    if total is not None and not math.isclose(sum(parts.values()), total, rel_tol=1e-5, abs_tol=1e-4):
        yield f"time.total_s = {total}, but the parts give {sum(parts.values()):.6g}"
    if time.steps < 0 or time.samples < 0 or (time.resumed or 0) < 0:
        yield f"{time.steps} steps, {time.samples} samples, resumed {time.resumed} times"


def _steps(record: Record, time: Time) -> Iterator[str]:
    job, credit = record.job, record.credit
    if job.rule == FROZEN and record.features and record.features.penalty is not None and time.steps:
        yield f"a fitted head takes no steps, but there are {time.steps}"
    if job.rule == FROZEN or record.result is None:
        return
    if job.steps and time.steps != job.steps:
        yield f"{time.steps} steps, but the job has {job.steps}"
    if job.epochs and time.steps % job.epochs:
        yield f"{time.steps} steps in {job.epochs} epochs of equal length"
    if credit and credit.steps is not None and -(-credit.steps // job.accumulate) > time.steps:
        yield f"{time.steps} steps, but {credit.steps} batches of which {job.accumulate} make a step"
    if credit and credit.steps is not None and credit.steps < time.steps:
        yield f"{time.steps} steps, but only {credit.steps} batches"


def _clock(time: Time, curve: Table) -> Iterator[str]:
    """The clock of the curve stops outside of training, so its end is close to the training time."""
    try:
        last = float(curve.rows[-1]["seconds"])
    except (IndexError, KeyError, ValueError):
        return  # the check `curves` says so
    if not math.isclose(last, time.train_s, rel_tol=0.1, abs_tol=0.5):
        yield f"time.train_s = {time.train_s}, but curve.csv ends at {last} s"
