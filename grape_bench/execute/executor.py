"""The interface of all executors (local, Slurm, Ray), and the table of their names."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from grape_bench.plan.suite import Cluster
from grape_bench.record.environment import INSTALLED, Git
from grape_bench.record.job import Job
from grape_bench.record.record import Record
from grape_bench.registry import Registry
from grape_bench.train.checkpoint_files import Period

TRAINER = "grape_bench.job.run"
CHECKPOINT_EVERY = Period(seconds=60)


@dataclass(frozen=True)
class Options:
    """How to run jobs. None of these settings changes a result, but threads can change its last digits."""

    slots: int | None = None  # jobs at once; None means one per visible GPU, or per core without a GPU
    threads: int | None = None  # per process of a job; None means those of finished jobs, or a share of the cores
    kept_threads: Mapping[int, int] = field(default_factory=dict)  # of finished jobs, by their number of processes
    time_limit_s: float | None = None  # per job process
    memory_limit: int | None = None  # bytes, for a job and every process it starts
    cluster: Cluster = field(default_factory=Cluster)  # the resources that a job requests from a cluster
    checkpoint_every: Period = CHECKPOINT_EVERY
    git: Git = INSTALLED  # the scheduler's commit, for the records
    trainer: str = TRAINER  # module with `run(job, on_epoch, checkpoints)`, `check(job)`, `gpu_count()`


class JobEvents(Protocol):
    """What an executor reports while it runs jobs."""

    @abstractmethod
    def started(self, job: Job) -> None:
        """Handle the start of a process for `job`."""

    @abstractmethod
    def progressed(self, progress: dict[str, dict[str, Any]]) -> None:
        """Handle the latest epoch of each running job, by job id. Called a few times a second."""

    @abstractmethod
    def warned(self, text: str) -> None:
        """Show a warning."""

    @abstractmethod
    def ended(self, record: Record) -> None:
        """Handle the end of a job, whose record is on disk."""


class Display(JobEvents, Protocol):
    """Shows the progress of a sweep."""

    @abstractmethod
    def began(self, done: Sequence[Record], pending: Sequence[Job], slots: int) -> None:
        """Show the start of a sweep: `done` was found on disk, `pending` will run."""

    @abstractmethod
    def closed(self) -> None:
        """Stop: nothing else will be reported."""


class Executor(Protocol):
    """Runs jobs somewhere. A context manager that leaves no process behind."""

    @abstractmethod
    def __enter__(self) -> Self:
        """Start the executor."""

    @abstractmethod
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill every process that this executor started."""

    @abstractmethod
    def check(self, jobs: Sequence[Job]) -> None:
        """Raise UserError for a job that cannot run. Nothing has been written yet."""

    @abstractmethod
    def slots(self) -> int:
        """Return how many jobs run at once."""

    @abstractmethod
    def threads(self, job: Job) -> int:
        """Return the CPU threads of one process of `job`."""

    @abstractmethod
    def hold(self, descriptor: int) -> None:
        """Keep the folder's lock until the last process is gone, even if the scheduler is killed first."""

    @abstractmethod
    def run(self, jobs: Sequence[Job], folder: Path, events: JobEvents) -> None:
        """Run every job. Its record is in `folder` before `events.ended` is called."""


EXECUTORS: Registry[type] = Registry(
    "executor",
    {
        "local": "grape_bench.execute.local:Local",
        "slurm": "grape_bench.execute.slurm:Slurm",
        "ray": "grape_bench.execute.ray:Ray",
    },
)
"""Executor classes by name, called as `executor(options, jobs)`."""
