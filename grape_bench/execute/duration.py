"""How long a job takes: as long as its like did, or as a short profile says."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Literal

from grape_bench.execute.executor import TRAINER
from grape_bench.execute.pool import Pool, ask
from grape_bench.execute.preflight import preload
from grape_bench.record.job import Job
from grape_bench.record.record import Record
from grape_bench.record.status import Status
from grape_bench.track.environment import core_count

Source = Literal["measured", "scaled", "profiled"]
Cell = tuple[str, str]  # task and rule


@dataclass(frozen=True)
class Forecast:
    """Seconds of one job, and where they come from."""

    seconds: float
    source: Source


class Durations:
    """Learns from jobs that have finished and from profiles.

    Best is the mean of the other seeds of a job's task and rule; else that of another rule on its task, whose training
    time is scaled by the two rules' step times, where other tasks have told them; else a profile.
    """

    def __init__(self) -> None:
        self._records: dict[Cell, list[Record]] = {}
        self._ratios: dict[str, list[float]] = {"bp": [1.0]}  # step time ÷ BP's, by rule
        self._profiles: dict[Cell, dict[str, float]] = {}

    def add(self, record: Record) -> None:
        """Learn from a job that has ended; only one that finished says anything."""
        if record.status is Status.FINISHED:
            self._records.setdefault((record.task, record.rule), []).append(record)
            if record.profile:
                self._ratios.setdefault(record.rule, []).append(record.profile.step_ratio)

    def add_timing(self, job: Job, seconds: dict[str, float]) -> None:
        """Learn what a profile of the job's task and rule said: the seconds of its parts, in the end `profile`."""
        self._profiles[job.task, job.rule] = seconds

    def of(self, job: Job) -> Forecast | None:
        """The forecast for `job`; None where nothing is known of it."""
        own = self._records.get((job.task, job.rule))
        if own:
            return Forecast(fmean(map(_own_seconds, own)) + self._profiling(job, own), "measured")
        ratio = self._ratio(job.rule)
        for (task, rule), records in self._records.items():
            other = self._ratio(rule)
            if task == job.task and ratio and other:
                seconds = fmean(
                    _own_seconds(r) + (r.time.train_s if r.time else 0.0) * (ratio / other - 1) for r in records
                )
                return Forecast(seconds + self._profiling(job, records), "scaled")
        profile = self._profiles.get((job.task, job.rule))
        if profile is None:
            return None
        return Forecast(profile["job"] + (profile["profile"] if job.profile else 0), "profiled")

    def _ratio(self, rule: str) -> float | None:
        return fmean(self._ratios[rule]) if rule in self._ratios else None

    def _profiling(self, job: Job, alike: Iterable[Record]) -> float:
        """The time in which the job measures its step time against BP's, if it does: as others needed."""
        everyone = (record for records in self._records.values() for record in records)
        spent = [_profile_s(r) for r in (*alike, *everyone) if r.profile]
        return spent[0] if job.profile and spent else 0.0


def time_jobs(jobs: Sequence[Job], slots: int) -> list[dict[str, float]]:
    """What `job.forecast` says of each of `jobs`, with the threads that they will have on `slots` slots.

    Raises the UserError of a job that cannot be run.
    """
    pool = Pool(preload(jobs, TRAINER))
    try:
        threads = max(1, core_count() // slots)
        found: list[dict[str, float]] = ask(
            pool, "grape_bench.job.forecast:forecast", [job.to_dict() for job in jobs], threads
        )
        return found
    finally:
        pool.close()


def duration(record: Record) -> float:
    """Seconds that a job took: all its processes' where it says so, else from its start to its end."""
    if record.time and record.time.total_s is not None:
        return record.time.total_s
    started, ended = map(datetime.fromisoformat, (record.started, record.ended))
    return (ended - started).total_seconds()


def makespan(seconds: Iterable[float], slots: int) -> float:
    """When the last of the jobs ends that are started in this order, each on the first slot that is free."""
    free = [0.0] * slots
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def _own_seconds(record: Record) -> float:
    return duration(record) - _profile_s(record)


def _train_s(record: Record) -> float:
    return record.time.train_s if record.time else 0.0


def _profile_s(record: Record) -> float:
    return (record.time.profile_s if record.time else None) or 0.0
