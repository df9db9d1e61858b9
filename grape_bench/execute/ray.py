"""Run jobs as tasks of a Ray cluster, each with its share of a node's CPUs and GPUs."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from grape_bench.errors import UserError
from grape_bench.execute.command import run_command, time_limit_s, worker_command
from grape_bench.execute.executor import Options, ReportsEnds
from grape_bench.execute.outcome import crashed, write_outcome, written_record
from grape_bench.execute.preflight import check_apart
from grape_bench.execute.worker import read_progress
from grape_bench.record.job import Job
from grape_bench.record.record import RECORD, STDERR, Outcome, Record, now
from grape_bench.record.status import Status

_TICK_S = 0.5
_NODES_LOST = 3  # so many times a job is begun again because its node has gone
_GRACE_S = 15.0


@dataclass
class _Task:
    job: Job
    since: str
    running: bool = False
    nodes_lost: int = 0


class Ray:
    """The executor `ray`."""

    def __init__(self, options: Options, jobs: Sequence[Job]) -> None:
        self.options = options
        self._processes = max(job.nproc for job in jobs)  # of a job, at most
        self._tasks: dict[Any, _Task] = {}  # by Ray's reference to its result

    def __enter__(self) -> Ray:
        try:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            import ray
        except ImportError as error:
            hint = "pip install 'grape-bench[ray]'"
            raise UserError("ray is not installed", where="--executor ray", hint=hint) from error
        self._ray = ray
        try:
            ray.init(self.options.cluster.ray.address, log_to_driver=False, logging_level=logging.ERROR)
        except ConnectionError as error:
            hint = "ray start --head, or leave ray.address out for a cluster on this machine alone"
            raise UserError(f"no Ray cluster: {error}", where="ray.address", hint=hint) from error
        self._remote = ray.remote(max_retries=0)(_run)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_all()
        self._ray.shutdown()

    def check(self, jobs: Sequence[Job]) -> None:
        """As in Executor; on this machine, which has the cluster's files."""
        if self.slots() == 0:
            needs = self._needs(self._processes)
            what = f"no node has {needs['num_cpus']} CPUs and {needs['num_gpus']:g} GPUs for a job, and its memory"
            raise UserError(what, where="--executor ray", hint="ray status shows what there is")
        check_apart(jobs, self.options.trainer)

    def slots(self) -> int:
        """As in Executor."""
        return sum(self._fits(node["Resources"]) for node in self._ray.nodes() if node["Alive"])

    def hold(self, descriptor: int) -> None:
        """Nothing: Ray ends the tasks when this process does."""

    def run(self, jobs: Sequence[Job], folder: Path, display: ReportsEnds) -> None:
        """As in Executor."""
        for job in jobs:
            self._start(_Task(job, now()), folder)
        while self._tasks:
            ready, _ = self._ray.wait(list(self._tasks), timeout=_TICK_S)
            running = self._running(folder, display)
            for reference in ready:
                task = self._tasks.pop(reference)
                record = self._ended(task, reference, folder)
                if record:
                    if not task.running:
                        display.started(task.job)
                    display.ended(record)
            display.progressed(read_progress(running, folder))

    def _start(self, task: _Task, folder: Path) -> None:
        place = folder / task.job.name
        place.mkdir(exist_ok=True)
        for name in (RECORD, STDERR):  # the latter shows that the job has begun
            (place / name).unlink(missing_ok=True)
        command = worker_command(task.job, folder, self.options)
        remote = self._remote.options(**self._needs(task.job.nproc))
        limits = time_limit_s(self.options), self.options.memory_limit
        self._tasks[remote.remote([*command, "--end-with-parent"], *limits)] = task

    def _running(self, folder: Path, display: ReportsEnds) -> list[Job]:
        for task in self._tasks.values():
            if not task.running and (folder / task.job.name / STDERR).is_file():
                task.running, task.since = True, now()
                display.started(task.job)
        return [task.job for task in self._tasks.values() if task.running]

    def _ended(self, task: _Task, reference: Any, folder: Path) -> Record | None:
        """The record of a task that is over; None where it has to begin again on another node."""
        errors = self._ray.exceptions
        try:
            code, stopped = self._ray.get(reference)
        except errors.OutOfMemoryError as error:
            outcome = Outcome(status=Status.OOM, reason=f"Ray: {_first_line(error)}")
        except errors.RayError as error:
            if task.nodes_lost < _NODES_LOST and written_record(task.job, folder) is None:
                task.nodes_lost += 1
                self._start(task, folder)
                return None
            outcome = Outcome(status=Status.CRASHED, reason=f"Ray: {_first_line(error)}")
        else:
            outcome = stopped or crashed(code)
        return written_record(task.job, folder) or write_outcome(task.job, folder, outcome, started=task.since)

    def _end_all(self) -> None:
        """After an interruption: no job goes on when the command has ended."""
        left = list(self._tasks)
        for force in (False, True):
            for reference in left:
                self._ray.cancel(reference, force=force)
            if left:
                _, left = self._ray.wait(left, num_returns=len(left), timeout=_GRACE_S)
        self._tasks.clear()

    def _needs(self, processes: int) -> dict[str, Any]:
        """What a task of so many processes asks Ray for."""
        cluster = self.options.cluster
        needs = {"num_cpus": cluster.cpus * processes, "num_gpus": cluster.gpus * processes}
        memory = {"memory": int(cluster.memory_gb * processes * 2**30)} if cluster.memory_gb else {}
        return {**needs, **memory, "resources": cluster.ray.resources}

    def _fits(self, resources: dict[str, float]) -> int:
        """How many jobs a node with these resources can have at once."""
        needs = self._needs(self._processes)
        wanted = {"CPU": needs["num_cpus"], "GPU": needs["num_gpus"], "memory": needs.get("memory", 0)}
        wanted |= needs["resources"]
        return min(int(resources.get(name, 0) / amount) for name, amount in wanted.items() if amount)


def _run(command: list[str], seconds: float | None, memory: int | None) -> tuple[int, Outcome | None]:
    """As `run_command`, in a process that hears Ray's interrupts, also where the cluster was started to ignore them.

    A shell starts what it puts in the background so.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return run_command(command, seconds, memory)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
