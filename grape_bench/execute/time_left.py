"""Prediction of a sweep's remaining time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from grape_bench.execute.duration import Durations, duration
from grape_bench.record.job import Job
from grape_bench.record.record import Record

Kind = tuple[str, str, bool]
"""What a forecast depends on: the task, the rule, and whether the job profiles its step."""


class TimeLeft:
    """Predicts the remaining time from `Durations`, or else from the mean over the task's jobs, or over all jobs.

    `waiting` are the jobs that have not started. They are counted by kind, so a prediction costs the same for any
    number of seeds.
    """

    def __init__(self, slots: int, waiting: Iterable[Job] = ()) -> None:
        self.slots = max(1, slots)
        self._durations = Durations()
        self._seconds: dict[tuple[str, ...], tuple[int, float]] = {}  # count and sum, by task and of all
        self._waiting = {job.id: job for job in waiting}
        self._counts: dict[Kind, tuple[int, Job]] = {}
        for job in self._waiting.values():
            self._count(job, 1)

    @property
    def waiting(self) -> int:
        """The number of jobs that have not started."""
        return len(self._waiting)

    def started(self, identity: str) -> None:
        """Stop counting the job `identity` as waiting, if it is still counted."""
        if job := self._waiting.pop(identity, None):
            self._count(job, -1)

    def add(self, record: Record) -> None:
        """Learn from a job that ended."""
        self._durations.add(record)
        for key in (record.task,), ():
            count, total = self._seconds.get(key, (0, 0.0))
            self._seconds[key] = count + 1, total + duration(record)

    def seconds(self, running: Sequence[Job] = (), fractions: Mapping[str, float] | None = None) -> float | None:
        """Return the wall-clock seconds until the last job ends, or None before the first one has ended.

        `fractions` holds the finished fraction of each running job (0 to 1), by id.
        """
        if not self._seconds:
            return None
        done = fractions or {}
        left = [self._job(job) * (1 - done.get(job.id, 0.0)) for job in running]
        total = sum(left) + sum(count * self._job(job) for count, job in self._counts.values() if count)
        return max([total / self.slots, *left])

    def _count(self, job: Job, number: int) -> None:
        kind = (job.task, job.rule, job.profile)
        count, example = self._counts.get(kind, (0, job))
        self._counts[kind] = count + number, example

    def _job(self, job: Job) -> float:
        known = self._durations.of(job)
        if known:
            return known.seconds
        count, total = self._seconds.get((job.task,)) or self._seconds[()]
        return total / count
