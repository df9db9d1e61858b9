"""How long a sweep will still take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from grape_bench.plan.job import Job
from grape_bench.track.record import Record


class TimeLeft:
    """Guesses from the jobs that have ended: those of the same task and rule, else of the task, else all."""

    def __init__(self, slots: int) -> None:
        self.slots = max(1, slots)
        self._seconds: dict[tuple[str, ...], list[float]] = {}

    def add(self, record: Record) -> None:
        """Learn from a job that has ended."""
        for key in _keys(record["task"], record["rule"]):
            self._seconds.setdefault(key, []).append(duration(record))

    def seconds(self, waiting: Iterable[Job], running: Sequence[Job], fractions: Mapping[str, float]) -> float | None:
        """Wall-clock seconds until the last job ends; None before anything is known.

        `fractions` says how far each running job is, by id, from 0 to 1.
        """
        if not self._seconds:
            return None
        left = [self._job(job) * (1 - fractions.get(job.id, 0.0)) for job in running]
        total = sum(left) + sum(self._job(job) for job in waiting)
        return max([total / self.slots, *left])

    def _job(self, job: Job) -> float:
        key = next(key for key in _keys(job.task, job.rule) if key in self._seconds)
        return sum(self._seconds[key]) / len(self._seconds[key])


def _keys(task: str, rule: str) -> tuple[tuple[str, ...], ...]:
    return (task, rule), (task,), ()


def duration(record: Record) -> float:
    """Seconds from the start of a job to its end."""
    started, ended = (datetime.fromisoformat(record[key]) for key in ("started", "ended"))
    return (ended - started).total_seconds()


def in_words(seconds: float) -> str:
    """Such as `42 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
