"""Runs jobs as tasks of a Ray cluster, each with its share of a node's CPUs and GPUs."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from typing_extensions import override

from grape_bench.errors import UserError
from grape_bench.execute.command import run_command, time_limit_s, worker_command
from grape_bench.execute.executor import Executor, JobEvents, Options
from grape_bench.execute.job_folder import read_progress
from grape_bench.execute.outcome import crashed, write_outcome, written_record
from grape_bench.execute.preflight import check_apart
from grape_bench.record.job import Job
from grape_bench.record.record import RECORD, STDERR, Outcome, Record, now
from grape_bench.record.status import Status

_TICK_S = 0.5
_NODES_LOST = 3  # how often a job is restarted because its node died
_GRACE_S = 15.0


@dataclass
class _Task:
    job: Job
    since: str
    running: bool = False
    nodes_lost: int = 0


class Ray(Executor):
    """The executor `ray`."""

    def __init__(self, options: Options, jobs: Sequence[Job]) -> None:
        self.options = options
        self._processes = max(job.nproc for job in jobs)  # per job, at most
        self._tasks: dict[Any, _Task] = {}  # by Ray's reference to the result

    @override
    def __enter__(self) -> Self:
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
            hint = "ray start --head, or remove ray.address to use only this machine"
            raise UserError(f"cannot connect to a Ray cluster: {error}", where="ray.address", hint=hint) from error
        self._remote = ray.remote(max_retries=0)(_run)
        return self

    @override
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_all()
        self._ray.shutdown()

    @override
    def check(self, jobs: Sequence[Job]) -> None:
        if self.slots() == 0:
            needs = self._needs(self._processes)
            what = f"no node has the {needs['num_cpus']} CPUs, {needs['num_gpus']:g} GPUs and memory that a job needs"
            raise UserError(what, where="--executor ray", hint="`ray status` shows the resources of each node")
        check_apart(jobs, self.options.trainer)

    @override
    def slots(self) -> int:
        return sum(self._fits(node["Resources"]) for node in self._ray.nodes() if node["Alive"])

    @override
    def threads(self, job: Job) -> int:
        return self.options.cluster.cpus

    @override
    def hold(self, descriptor: int) -> None:
        """Do nothing: Ray kills the tasks when this process ends."""

    @override
    def run(self, jobs: Sequence[Job], folder: Path, events: JobEvents) -> None:
        for job in jobs:
            self._start(_Task(job, now()), folder)
        while self._tasks:
            ready, _ = self._ray.wait(list(self._tasks), timeout=_TICK_S)
            running = self._running(folder, events)
            for reference in ready:
                task = self._tasks.pop(reference)
                record = self._ended(task, reference, folder)
                if record:
                    if not task.running:
                        events.started(task.job)
                    events.ended(record)
            events.progressed(read_progress(running, folder))

    def _start(self, task: _Task, folder: Path) -> None:
        job_folder = folder / task.job.name
        job_folder.mkdir(exist_ok=True)
        for name in (RECORD, STDERR):  # a new stderr.txt shows that the job has started
            (job_folder / name).unlink(missing_ok=True)
        command = worker_command(task.job, folder, self.options)
        remote = self._remote.options(**self._needs(task.job.nproc))
        limits = time_limit_s(self.options), self.options.memory_limit
        self._tasks[remote.remote([*command, "--end-with-parent"], *limits)] = task

    def _running(self, folder: Path, events: JobEvents) -> list[Job]:
        for task in self._tasks.values():
            if not task.running and (folder / task.job.name / STDERR).is_file():
                task.running, task.since = True, now()
                events.started(task.job)
        return [task.job for task in self._tasks.values() if task.running]

    def _ended(self, task: _Task, reference: Any, folder: Path) -> Record | None:
        """Return the record of a task that ended, or None if it restarts on another node."""
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
        """Cancel the jobs that still run after an interruption: first gently, then by force."""
        left = list(self._tasks)
        for force in (False, True):
            for reference in left:
                self._ray.cancel(reference, force=force)
            if left:
                _, left = self._ray.wait(left, num_returns=len(left), timeout=_GRACE_S)
        self._tasks.clear()

    def _needs(self, processes: int) -> dict[str, Any]:
        """Return the resources that a task of `processes` processes requests from Ray."""
        cluster = self.options.cluster
        needs = {"num_cpus": cluster.cpus * processes, "num_gpus": cluster.gpus * processes}
        memory = {"memory": int(cluster.memory_gb * processes * 2**30)} if cluster.memory_gb else {}
        return {**needs, **memory, "resources": cluster.ray.resources}

    def _fits(self, resources: dict[str, float]) -> int:
        """Return how many jobs fit on a node with these resources."""
        needs = self._needs(self._processes)
        wanted = {"CPU": needs["num_cpus"], "GPU": needs["num_gpus"], "memory": needs.get("memory", 0)}
        wanted |= needs["resources"]
        return min(int(resources.get(name, 0) / amount) for name, amount in wanted.items() if amount)


def _run(command: list[str], seconds: float | None, memory: int | None) -> tuple[int, Outcome | None]:
    """Call `run_command` in a process that receives Ray's interrupts.

    A shell makes background processes ignore SIGINT. A cluster that was started in the background passes this on to
    its tasks.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return run_command(command, seconds, memory)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
