"""Line-by-line progress for logs and pipes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from typing_extensions import override

from grape_bench.cli.time_left import TimeLeft, in_words
from grape_bench.execute.duration import duration
from grape_bench.execute.executor import Display
from grape_bench.record.job import Job
from grape_bench.record.record import Record
from grape_bench.record.status import Status


class Plain(Display):
    """Prints a line when a job ends."""

    @override
    def began(self, done: Sequence[Record], pending: Sequence[Job], slots: int) -> None:
        self._ended, self._total = len(done), len(done) + len(pending)
        self._waiting = {job.id: job for job in pending}
        self._left = TimeLeft(slots)
        click.echo(opening(done, pending, slots))

    @override
    def warned(self, text: str) -> None:
        click.echo(f"warning: {text}", err=True)

    @override
    def started(self, job: Job) -> None:
        """Print nothing."""

    @override
    def progressed(self, progress: dict[str, dict[str, Any]]) -> None:
        """Print nothing: a log would fill up."""

    @override
    def ended(self, record: Record) -> None:
        self._ended += 1
        self._left.add(record)
        del self._waiting[record.id]
        left = self._left.seconds(self._waiting.values(), (), {})
        rest = f" ({in_words(left)} left)" if left and self._waiting else ""
        click.echo(f"[{self._ended}/{self._total}] {result_line(record)}{rest}")

    @override
    def closed(self) -> None:
        """Print nothing: every line is out already."""


def opening(done: Sequence[Record], pending: Sequence[Job], slots: int) -> str:
    """Return the first line: what will run."""
    if not pending:
        return f"all {len(done)} jobs are already done: nothing to run"
    before = f" ({len(done)} already done)" if done else ""
    return f"{len(pending)} jobs to run{before}, {slots} at a time"


def result_line(record: Record) -> str:
    """Return a line on how a job ended: `digits-mlp dfa seed 0: 93.1 % validation, 3.2 s`."""
    name = str(record.job)
    if record.status is Status.FINISHED:
        return f"{name}: {record.validation:.1f} % validation, {duration(record):.1f} s"
    reason = record.reason.splitlines()[0] if record.reason else ""
    return f"{name}: {record.status}" + (f": {reason}" if reason else "")
