"""Progress as lines, for logs and pipes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from grape_bench.cli.time_left import TimeLeft, in_words
from grape_bench.execute.duration import duration
from grape_bench.record.job import Job
from grape_bench.record.record import Record
from grape_bench.record.status import Status


class Plain:
    """A line per job that ends."""

    def began(self, done: Sequence[Record], pending: Sequence[Job], slots: int) -> None:
        """As in Display."""
        self._ended, self._total = len(done), len(done) + len(pending)
        self._waiting = {job.id: job for job in pending}
        self._left = TimeLeft(slots)
        click.echo(opening(done, pending, slots))

    def warned(self, text: str) -> None:
        """As in Display."""
        click.echo(f"warning: {text}", err=True)

    def started(self, job: Job) -> None:
        """Nothing to say yet."""

    def progressed(self, progress: dict[str, dict[str, Any]]) -> None:
        """A log has no place for it."""

    def ended(self, record: Record) -> None:
        """As in Display."""
        self._ended += 1
        self._left.add(record)
        del self._waiting[record.id]
        left = self._left.seconds(self._waiting.values(), (), {})
        rest = f" ({in_words(left)} left)" if left and self._waiting else ""
        click.echo(f"[{self._ended}/{self._total}] {result_line(record)}{rest}")

    def closed(self) -> None:
        """Every line is out already."""


def opening(done: Sequence[Record], pending: Sequence[Job], slots: int) -> str:
    """What is going to happen."""
    if not pending:
        return f"{len(done)} jobs, all done before: nothing to run"
    before = f" ({len(done)} done before)" if done else ""
    return f"{len(pending)} jobs to run{before}, {slots} at a time"


def result_line(record: Record) -> str:
    """How a job ended: `digits-mlp dfa seed 0: 93.1 % validation, 3.2 s`."""
    name = str(record.job)
    if record.status is Status.FINISHED:
        return f"{name}: {record.validation:.1f} % validation, {duration(record):.1f} s"
    reason = record.reason.splitlines()[0] if record.reason else ""
    return f"{name}: {record.status}" + (f": {reason}" if reason else "")
