"""Progress of a run: line by line for logs and pipes, live for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from grape_bench.cli.duration import in_words
from grape_bench.cli.say import amount, say
from grape_bench.execute.duration import duration
from grape_bench.execute.executor import Display
from grape_bench.execute.time_left import TimeLeft
from grape_bench.record.job import Job
from grape_bench.record.record import Record
from grape_bench.record.status import Status
from grape_bench.score.metric import METRICS, metric_of_row

_ROWS = 12  # running jobs shown; a machine with 64 slots would fill the screen


class Plain(Display):
    """Prints a line when a job ends."""

    @override
    def began(self, done: Sequence[Record], pending: Sequence[Job], slots: int) -> None:
        self._ended, self._total = len(done), len(done) + len(pending)
        self._left = TimeLeft(slots, pending)
        say(opening(done, pending, slots))

    @override
    def warned(self, text: str) -> None:
        say(f"warning: {text}", err=True)

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
        self._left.started(record.id)
        left = self._left.seconds()
        rest = f" ({in_words(left)} left)" if left and self._left.waiting else ""
        say(f"[{self._ended}/{self._total}] {result_line(record)}{rest}")

    @override
    def closed(self) -> None:
        """Print nothing: every line is already printed."""


def opening(done: Sequence[Record], pending: Sequence[Job], slots: int) -> str:
    """Return the first line: what will run."""
    if not pending:
        every = "the job is" if len(done) == 1 else f"all {len(done)} jobs are"
        return f"{every} already done: nothing to run"
    before = f" ({len(done)} already done)" if done else ""
    return f"{amount(len(pending), 'job')} to run{before}, {slots} at a time"


def result_line(record: Record) -> str:
    """Return a line on how a job ended: `digits-mlp dfa seed 0: 93.1 % validation, 3.2 s`."""
    name = str(record.job)
    if record.status is Status.FINISHED:
        metric = METRICS[record.scored_by.name]
        return f"{name}: {metric.text(record.validation)} validation, {duration(record):.1f} s"
    reason = record.reason.splitlines()[0] if record.reason else ""
    return f"{name}: {record.status}" + (f": {reason}" if reason else "")


class SweepProgress(Display):
    """Tracks which jobs run, how far each one is, and the time left. `render` shows this in at most 80 columns."""

    def __init__(self) -> None:
        self._ended, self._total, self._closed = 0, 0, False
        self._left = TimeLeft(1)
        self._running: dict[str, Job] = {}
        self._progress: dict[str, dict[str, Any]] = {}

    @override
    def began(self, done: Sequence[Record], pending: Sequence[Job], slots: int) -> None:
        self._ended, self._total = len(done), len(done) + len(pending)
        self._left = TimeLeft(slots, pending)

    @override
    def started(self, job: Job) -> None:
        self._left.started(job.id)
        self._running[job.id] = job

    @override
    def progressed(self, progress: dict[str, dict[str, Any]]) -> None:
        self._progress = progress

    @override
    def ended(self, record: Record) -> None:
        self._ended += 1
        self._left.add(record)
        del self._running[record.id]

    @override
    def closed(self) -> None:
        self._running.clear()  # if the sweep was stopped, its running jobs were killed
        self._closed = True

    def render(self) -> RenderableType:
        """A progress bar over all jobs with the time left, and a line per running job."""
        head = Table.grid(padding=(0, 1))
        fractions = {key: _fraction(row) for key, row in self._progress.items()}
        left = None if self._closed else self._left.seconds(list(self._running.values()), fractions)
        rest = f"about {in_words(left)} left" if left is not None else ""
        bar = ProgressBar(total=self._total, completed=self._ended, width=30)
        head.add_row(bar, f"{self._ended}/{self._total} jobs", Text(rest, style="dim"))
        rows = Table.grid(padding=(0, 2))
        rows.add_column(no_wrap=True, overflow="ellipsis", max_width=42)
        for identity, job in list(self._running.items())[:_ROWS]:
            rows.add_row(Text(str(job)), *self._state(identity, job))
        hidden = len(self._running) - _ROWS
        return Group(head, rows, Text(f"and {hidden} more", style="dim")) if hidden > 0 else Group(head, rows)

    def _state(self, identity: str, job: Job) -> tuple[str, str]:
        row = self._progress.get(identity)
        unit, total = ("step", job.steps) if job.steps else ("epoch", job.epochs)
        if row is None:
            return f"{unit} 0/{total}", ""
        metric = metric_of_row(row)
        reached = f"{row[unit]:.2f}" if isinstance(row[unit], float) else row[unit]
        return f"{unit} {reached}/{total}", metric.text(float(row[metric.column])) if metric else ""


class Live(SweepProgress):
    """Shows a sweep's progress at the bottom of a terminal. Only failures stay on the screen."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console
        self._live: RichLive | None = None

    @override
    def began(self, done: Sequence[Record], pending: Sequence[Job], slots: int) -> None:
        super().began(done, pending, slots)
        self.console.print(opening(done, pending, slots))
        if pending:
            self._live = RichLive(console=self.console, auto_refresh=False, transient=True)
            self._live.start()

    @override
    def warned(self, text: str) -> None:
        self.console.print(Text(f"warning: {text}", style="yellow"))

    @override
    def progressed(self, progress: dict[str, dict[str, Any]]) -> None:
        super().progressed(progress)
        if self._live:
            self._live.update(self.render(), refresh=True)

    @override
    def ended(self, record: Record) -> None:
        super().ended(record)
        if record.status is not Status.FINISHED:
            self.console.print(Text(result_line(record), style="red"))

    @override
    def closed(self) -> None:
        super().closed()
        if self._live:
            self._live.stop()


def _fraction(row: dict[str, Any]) -> float:
    """The share of the budget that is done, from a row of progress.json."""
    unit = "step" if "steps" in row else "epoch"
    return float(row[unit]) / float(row[f"{unit}s"])
