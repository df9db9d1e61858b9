"""Forecasts how long a job will take: from finished jobs like it, or from timing a few of its steps."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from grape_bench.execute.ask import ask_about
from grape_bench.execute.executor import TRAINER
from grape_bench.execute.pool import Pool
from grape_bench.execute.preflight import preload
from grape_bench.record.environment import core_count
from grape_bench.record.job import Job
from grape_bench.record.record import Record
from grape_bench.record.status import Status

Source = Literal["measured", "scaled", "profiled"]
Cell = tuple[str, str]  # task and rule


@dataclass(frozen=True)
class Forecast:
    """The expected seconds of one job, and their source."""

    seconds: float
    source: Source


@dataclass
class _Sums:
    """The total seconds of the finished jobs of one cell."""

    jobs: int = 0
    own_s: float = 0.0  # without the step profile
    train_s: float = 0.0
    profile_s: float | None = None  # of the first job with a step profile

    def add(self, record: Record) -> None:
        self.jobs += 1
        self.own_s += duration(record) - _profile_s(record)
        self.train_s += record.time.train_s if record.time else 0.0
        if record.profile and self.profile_s is None:
            self.profile_s = _profile_s(record)


class Durations:
    """Forecasts durations from finished jobs and timings. It keeps sums, so a forecast costs the same for any number.

    The sources, best first:

    - measured: the mean over the other seeds of the same task and rule
    - scaled: another rule on the same task, with its training time scaled by the step times of the two rules
    - profiled: a timing of a few steps (`time_jobs`)
    """

    def __init__(self) -> None:
        self._sums: dict[str, dict[str, _Sums]] = {}  # by task and rule
        self._ratios: dict[str, tuple[int, float]] = {"bp": (1, 1.0)}  # step time ÷ BP's, by rule: count and sum
        self._profile_s: float | None = None  # of the first job with a step profile
        self._timings: dict[Cell, dict[str, float]] = {}

    def add(self, record: Record) -> None:
        """Learn from a job that ended. Only finished jobs count."""
        if record.status is Status.FINISHED:
            sums = self._sums.setdefault(record.task, {}).setdefault(record.rule, _Sums())
            sums.add(record)
            if record.profile:
                count, total = self._ratios.get(record.rule, (0, 0.0))
                self._ratios[record.rule] = count + 1, total + record.profile.step_ratio
                self._profile_s = sums.profile_s if self._profile_s is None else self._profile_s

    def add_timing(self, job: Job, seconds: dict[str, float]) -> None:
        """Learn from a timing of the job's task and rule: seconds of the `job`, and of its step `profile`."""
        self._timings[job.task, job.rule] = seconds

    def of(self, job: Job) -> Forecast | None:
        """Return the forecast for `job`, or None if nothing is known about it."""
        of_task = self._sums.get(job.task, {})
        if own := of_task.get(job.rule):
            return Forecast(own.own_s / own.jobs + self._profiling(job, own), "measured")
        ratio = self._ratio(job.rule)
        for rule, sums in of_task.items():
            other = self._ratio(rule)
            if ratio and other:
                seconds = (sums.own_s + sums.train_s * (ratio / other - 1)) / sums.jobs
                return Forecast(seconds + self._profiling(job, sums), "scaled")
        timing = self._timings.get((job.task, job.rule))
        if timing is None:
            return None
        return Forecast(timing["job"] + (timing["profile"] if job.profile else 0), "profiled")

    def _ratio(self, rule: str) -> float | None:
        count, total = self._ratios.get(rule, (0, 0.0))
        return total / count if count else None

    def _profiling(self, job: Job, alike: _Sums) -> float:
        """Return the seconds of the job's step profile, as measured in other jobs; 0 if the job has none."""
        known = self._profile_s if alike.profile_s is None else alike.profile_s
        return (known or 0.0) if job.profile else 0.0


def time_jobs(jobs: Sequence[Job], slots: int) -> list[dict[str, float]]:
    """Time a few steps of each job, with the threads that it would have on `slots` slots.

    Returns per job the expected seconds of the `job`, and of its step `profile`. Raises the UserError of a job that
    cannot run.
    """
    pool = Pool(preload(jobs, TRAINER))
    try:
        threads = max(1, core_count() // slots)
        found = ask_about(pool, "grape_bench.job.forecast:forecast", [job.to_dict() for job in jobs], threads)
        return [seconds for answer in found for seconds in answer]
    finally:
        pool.close()


def duration(record: Record) -> float:
    """Return the seconds that a job took, over all its processes if it was resumed; else from its start to its end."""
    if record.time and record.time.total_s is not None:
        return record.time.total_s
    started, ended = map(datetime.fromisoformat, (record.started, record.ended))
    return (ended - started).total_seconds()


def makespan(seconds: Iterable[float], slots: int) -> float:
    """Return when the last job ends if the jobs start in this order, each on the first free slot.

    Jobs of 4, 3, 2 and 1 seconds on two slots: slot 1 runs 4 and then 1, slot 2 runs 3 and then 2. Result: 5.
    """
    free = [0.0] * slots
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def _profile_s(record: Record) -> float:
    return (record.time.profile_s if record.time else None) or 0.0
