"""Forecasts of how long jobs take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from grape_bench.execute.duration import Durations, duration, makespan
from grape_bench.record.job import Job
from grape_bench.record.record import Record
from grape_bench.record.status import Status
from tests.record.test_job import JOB
from tests.track.records import record

BP = replace(JOB, rule="bp")
FIRST = replace(JOB, seed=0, profile=True)


def finished(job: Job, train_s: float, total_s: float, ratio: float | None = None, profile_s: float = 0) -> Record:
    time: dict[str, Any] = {"train_s": train_s, "total_s": total_s, "profile_s": profile_s}
    made = record(time=time, profile={"step_ratio": ratio} if ratio else None)
    return replace(made, job=job, id=job.id, name=job.name)


def test_the_other_seeds_of_a_cell_come_first_and_the_step_profile_is_the_first_seeds_alone() -> None:
    durations = Durations()
    assert durations.of(JOB) is None
    durations.add(finished(JOB, 10, 15, ratio=2.0, profile_s=3))
    durations.add(finished(JOB, 10, 14))
    forecast = durations.of(replace(JOB, seed=2))
    assert forecast and (forecast.seconds, forecast.source) == ((12 + 14) / 2, "measured")
    first = durations.of(FIRST)
    assert first and first.seconds == 13 + 3


def test_another_rule_of_the_task_is_scaled_by_step_times_from_other_tasks() -> None:
    durations = Durations()
    durations.add(finished(BP, 10, 14))
    assert durations.of(JOB) is None, "the step time of this rule is unknown"
    durations.add(finished(replace(JOB, task="second"), 5, 9, ratio=1.5, profile_s=1))
    forecast = durations.of(JOB)
    assert forecast and (forecast.seconds, forecast.source) == (14 + 10 * 0.5, "scaled")
    first = durations.of(FIRST)
    assert first and first.seconds == 19 + 1
    back = durations.of(replace(BP, task="second"))
    assert back and back.seconds == pytest.approx(9 - 1 + 5 * (1 / 1.5 - 1)), "and the other way round"


def test_a_timing_comes_last_and_failed_jobs_do_not_count() -> None:
    durations = Durations()
    durations.add(replace(finished(JOB, 1, 1), status=Status.CRASHED))
    assert durations.of(JOB) is None
    durations.add_timing(JOB, {"job": 7.0, "profile": 2.0})
    forecast, first = durations.of(JOB), durations.of(FIRST)
    assert forecast and first and (forecast.seconds, first.seconds, first.source) == (7, 9, "profiled")
    durations.add(finished(JOB, 1, 2))
    measured = durations.of(JOB)
    assert measured and measured.source == "measured"


def test_a_job_of_several_processes_took_as_long_as_all_of_them() -> None:
    assert duration(finished(JOB, 10, 15)) == 15
    times = {"started": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T00:00:02.5+00:00"}
    assert duration(replace(record(time=None), **times)) == 2.5


@pytest.mark.parametrize(
    ("seconds", "slots", "end"), [([], 2, 0), ([4, 3, 2, 1], 2, 5), ([1, 1, 5], 2, 6), ([2, 2], 8, 2)]
)
def test_the_end_of_the_last_job(seconds: list[float], slots: int, end: float) -> None:
    assert makespan(seconds, slots) == end
