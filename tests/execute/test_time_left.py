"""The prediction of a sweep's remaining time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from grape_bench.execute.duration import Durations
from grape_bench.execute.time_left import TimeLeft
from grape_bench.record.job import Job
from grape_bench.record.record import Record
from tests.record.test_job import JOB
from tests.track.records import record

GRAPE = replace(JOB, rule="grape")


def ended(job: Job, seconds: int) -> Record:
    times = {"started": "2026-01-01T00:00:00.000+00:00", "ended": f"2026-01-01T00:00:{seconds:02d}.000+00:00"}
    return replace(record(), job=job, id=job.id, name=job.name, **times)


def after_two(waiting: Iterable[Job]) -> TimeLeft:
    """On two slots, a job of 10 seconds has ended, and one of 30 seconds with GrAPE."""
    left = TimeLeft(2, waiting)
    assert left.seconds() is None
    left.add(ended(JOB, seconds=10))
    left.add(ended(GRAPE, seconds=30))
    return left


def test_time_left_comes_from_the_same_rule_else_the_same_task_else_all() -> None:
    assert after_two([JOB, GRAPE]).seconds() == (10 + 30) / 2
    assert after_two([replace(JOB, rule="fa")]).seconds() == 20 / 2
    assert after_two([replace(JOB, task="other")]).seconds() == 20 / 2
    assert after_two([]).seconds([GRAPE], {GRAPE.id: 0.5}) == 15, "the last job cannot be shared between slots"
    assert after_two([]).seconds() == 0


def test_a_job_that_starts_twice_waits_once() -> None:
    left = after_two([JOB, GRAPE])
    for _ in range(2):
        left.started(GRAPE.id)
    assert (left.waiting, left.seconds()) == (1, 10 / 2)


def test_one_forecast_per_cell_however_many_seeds_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Job] = []
    original = Durations.of
    monkeypatch.setattr(Durations, "of", lambda self, job: (asked.append(job), original(self, job))[1])
    left = after_two([replace(job, seed=seed) for seed in range(500) for job in (JOB, GRAPE)])
    assert left.seconds() == 500 * (10 + 30) / 2
    assert len(asked) == 2
