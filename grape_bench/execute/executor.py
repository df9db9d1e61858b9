"""What every way of running jobs has in common, and the table of their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from grape_bench.plan.suite import Cluster
from grape_bench.record.job import Job
from grape_bench.record.record import Record
from grape_bench.registry import Registry
from grape_bench.train.checkpoint_files import Period

TRAINER = "grape_bench.job.run"
CHECKPOINT_EVERY = Period(seconds=60)


@dataclass(frozen=True)
class Options:
    """How jobs are run; nothing here changes a result."""

    slots: int | None = None  # None: one per visible GPU, or per core where there is none
    time_limit_s: float | None = None  # of one process of a job
    memory_limit: int | None = None  # bytes of a job and of all that it has started
    cluster: Cluster = field(default_factory=Cluster)  # what a job asks of one
    checkpoint_every: Period = CHECKPOINT_EVERY
    trainer: str = TRAINER  # module with `run(job, on_epoch, checkpoints)`, `check(job)`, `gpu_count()`


class Display(Protocol):
    """Who is told how a sweep goes."""

    def began(self, done: Sequence[Record], pending: Sequence[Job], slots: int) -> None:
        """`done` was found on disk, `pending` is to be run."""

    def warned(self, text: str) -> None:
        """A file of an earlier run is damaged; `text` says which, and what happens."""

    def started(self, job: Job) -> None:
        """A process of its own now runs `job`."""

    def progressed(self, progress: dict[str, dict[str, Any]]) -> None:
        """The last epoch of each running job, by job id; called a few times a second."""

    def ended(self, record: Record) -> None:
        """A job has its record."""

    def closed(self) -> None:
        """No more will come."""


class Executor(Protocol):
    """One way of running jobs; a context manager that leaves no process behind."""

    def __enter__(self) -> Executor:
        """Start what is needed."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every process that was started."""

    def check(self, jobs: Sequence[Job]) -> None:
        """Raise UserError for a job that cannot be run, before anything is written."""

    def slots(self) -> int:
        """How many jobs run at once."""

    def hold(self, descriptor: int) -> None:
        """Keep the folder's lock until the last process is gone, also when this one is killed first."""

    def run(self, jobs: Sequence[Job], folder: Path, display: ReportsEnds) -> None:
        """Run every job; each has its record in `folder` when it is reported as ended."""


class ReportsEnds(Protocol):
    """The part of a display that an executor speaks to."""

    def started(self, job: Job) -> None:
        """As in Display."""

    def progressed(self, progress: dict[str, dict[str, Any]]) -> None:
        """As in Display."""

    def ended(self, record: Record) -> None:
        """As in Display."""


EXECUTORS: Registry[type] = Registry(
    "executor",
    {
        "local": "grape_bench.execute.local:Local",
        "slurm": "grape_bench.execute.slurm:Slurm",
        "ray": "grape_bench.execute.ray:Ray",
    },
)
"""Called as `executor(options, jobs)`."""
