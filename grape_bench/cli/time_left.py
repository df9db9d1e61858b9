"""The time that a sweep still needs, and durations in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from grape_bench.execute.duration import Durations, duration
from grape_bench.record.job import Job
from grape_bench.record.record import Record


class TimeLeft:
    """Predicts the remaining time: from `Durations`, else the mean of the task's jobs, else the mean of all jobs."""

    def __init__(self, slots: int) -> None:
        self.slots = max(1, slots)
        self._durations = Durations()
        self._seconds: dict[tuple[str, ...], list[float]] = {}

    def add(self, record: Record) -> None:
        """Learn from a job that ended."""
        self._durations.add(record)
        for key in (record.task,), ():
            self._seconds.setdefault(key, []).append(duration(record))

    def seconds(self, waiting: Iterable[Job], running: Sequence[Job], fractions: Mapping[str, float]) -> float | None:
        """Return the wall-clock seconds until the last job ends, or None before the first one has ended.

        `fractions` holds the finished fraction of each running job (0 to 1), by id.
        """
        if not self._seconds:
            return None
        left = [self._job(job) * (1 - fractions.get(job.id, 0.0)) for job in running]
        total = sum(left) + sum(self._job(job) for job in waiting)
        return max([total / self.slots, *left])

    def _job(self, job: Job) -> float:
        known = self._durations.of(job)
        return known.seconds if known else fmean(self._seconds.get((job.task,)) or self._seconds[()])


def in_words(seconds: float) -> str:
    """Return a duration as text, such as `42 s`, `3 min 20 s` or `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
