"""Runs jobs on this machine: one process per job, and one slot per GPU, or per core without a GPU."""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from typing_extensions import override

from grape_bench.errors import UserError
from grape_bench.execute.executor import Executor, JobEvents, Options
from grape_bench.execute.gpus import VISIBLE, is_mig, slot_gpus
from grape_bench.execute.job_folder import read_progress, remove, write_job_manifest
from grape_bench.execute.outcome import crashed, kernel_oom_kills, late, too_large, write_outcome, written_record
from grape_bench.execute.pool import Pool, ServerLostError
from grape_bench.execute.preflight import preflight, preload
from grape_bench.execute.process_tree import held_bytes
from grape_bench.record.environment import GPU_JOBS, core_count
from grape_bench.record.job import Job
from grape_bench.record.record import RECORD, Outcome, Record, now
from grape_bench.record.status import Status

_TICK_S = 0.2


@dataclass
class _Running:
    job: Job
    slot: int
    started: str
    oom_kills: int  # kernel_oom_kills() before the start
    since: float  # time.monotonic()
    stopped: Outcome | None = None  # set when the job is killed for exceeding a limit


class Local(Executor):
    """The executor `local`."""

    def __init__(self, options: Options, jobs: Sequence[Job]) -> None:
        self.options = options
        self._preload = preload(jobs, options.trainer)
        self._processes = max(job.nproc for job in jobs)  # per job, at most
        self._gpus: list[str] = []  # names for CUDA_VISIBLE_DEVICES
        self._running: dict[str, _Running] = {}
        self._suspects: set[str] = set()  # jobs that were running when the fork server was lost

    @override
    def __enter__(self) -> Self:
        self._pool = Pool(self._preload)
        return self

    @override
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.close()

    @override
    def check(self, jobs: Sequence[Job]) -> None:
        count = preflight(self._pool, jobs, self.options.trainer)
        self._gpus = slot_gpus(count, os.environ)
        if self._processes > 1 and is_mig(self._gpus):
            what = f"a job of {self._processes} processes cannot run on MIG instances"
            raise UserError(what, where="--nproc", hint="--nproc 1, since CUDA shows a process only one instance")
        if 0 < len(self._gpus) < self._processes:
            what = f"each job has {self._processes} processes, but only {len(self._gpus)} GPUs are visible"
            raise UserError(what, where="--nproc", hint="at most one process per GPU")

    @override
    def slots(self) -> int:
        return self.options.slots or max(1, (len(self._gpus) or core_count()) // self._processes)

    @override
    def threads(self, job: Job) -> int:
        kept = None if self._gpus else self.options.kept_threads.get(job.nproc)
        return self.options.threads or kept or fair_share(self.slots(), job.nproc)

    @override
    def hold(self, descriptor: int) -> None:
        self._pool.hold(descriptor)

    @override
    def run(self, jobs: Sequence[Job], folder: Path, events: JobEvents) -> None:
        waiting, free = deque(jobs), deque(range(self.slots()))
        try:
            while waiting or self._running:
                try:
                    while free and self._may_start(waiting):
                        events.started(waiting[0])
                        self._start(waiting.popleft(), free.popleft(), folder)
                    for key, code in self._pool.ended(_TICK_S):
                        ended = self._running.pop(key)
                        free.append(ended.slot)
                        events.ended(self._record(ended, code, folder))
                    self._enforce_limits()
                except ServerLostError as error:
                    free.extend(running.slot for running in self._running.values())
                    waiting.extendleft(self._lost(error, folder, events))
                events.progressed(read_progress([running.job for running in self._running.values()], folder))
        finally:
            self._end_all()

    def _may_start(self, waiting: Sequence[Job]) -> bool:
        """Whether to start the next job: one that may have killed the fork server runs alone."""
        if not waiting or not self._running:
            return bool(waiting)
        return not any(key in self._suspects for key in (waiting[0].id, *self._running))

    def _lost(self, error: ServerLostError, folder: Path, events: JobEvents) -> list[Job]:
        """Return the jobs to restart after the fork server was lost. A job that was running twice has crashed."""
        again = []
        while self._running:
            running = self._running.popitem()[1]
            job = running.job
            found = written_record(job, folder)
            if found is None and job.id not in self._suspects:
                self._suspects.add(job.id)
                again.append(job)
                continue
            outcome = Outcome(status=Status.CRASHED, reason=f"{error}, twice while this job was running")
            events.ended(found or write_outcome(job, folder, outcome, started=running.started))
        if again:
            events.warned(f"{error}; another one takes over, and the jobs that were running start again, one by one")
        return again

    def _end_all(self) -> None:
        """Kill the jobs that still run after an interruption."""
        with suppress(ServerLostError):  # then they have ended
            for key in self._running:
                self._pool.kill(key)
            while self._running:
                for key, _ in self._pool.ended(None):
                    self._running.pop(key)

    def _start(self, job: Job, slot: int, folder: Path) -> None:
        # Delete the record before the process starts: a process that dies at once must not inherit an old record.
        remove(folder / job.name / RECORD)
        arguments = {
            "manifest": str(write_job_manifest(job, folder, self.options.git)),
            "job": job.id,
            "trainer": self.options.trainer,
            "checkpoint_every": str(self.options.checkpoint_every),
            "threads": self.threads(job),
            "gpu": self._gpu(slot, job.nproc),
            "gpu_jobs": math.ceil(self.slots() * self._processes / len(self._gpus)) if self._gpus else 1,
        }
        self._running[job.id] = _Running(job, slot, now(), kernel_oom_kills(), time.monotonic())
        self._pool.start(job.id, "grape_bench.execute.local:work", arguments)

    def _gpu(self, slot: int, processes: int) -> str | None:
        """Return the value of CUDA_VISIBLE_DEVICES for a slot, one GPU per process of its job; None without GPUs.

        Two GPUs, four slots: slots 0 and 2 use the first GPU, slots 1 and 3 use the second.
        """
        if not self._gpus:
            return None
        first = slot * self._processes
        return ",".join(self._gpus[index % len(self._gpus)] for index in range(first, first + processes))

    def _record(self, ended: _Running, code: int, folder: Path) -> Record:
        """Return the record that the worker wrote. If the worker could not, write and return one here."""
        found = written_record(ended.job, folder)
        if found is not None:
            return found
        outcome = ended.stopped or crashed(code, ended.oom_kills)
        return write_outcome(ended.job, folder, outcome, started=ended.started)

    def _enforce_limits(self) -> None:
        for key, running in self._running.items():
            if running.stopped is None and (broken := self._broken_limit(key, running)):
                running.stopped = broken
                self._pool.kill(key)

    def _broken_limit(self, key: str, running: _Running) -> Outcome | None:
        """Return the outcome of a job that exceeds a limit; None if it does not."""
        seconds, memory = self.options.time_limit_s, self.options.memory_limit
        if seconds and time.monotonic() - running.since > seconds:
            return late(seconds)
        process = self._pool.process(key)
        if memory and process and (held := held_bytes(process, memory)) > memory:
            return too_large(held, memory)
        return None


def fair_share(slots: int, processes: int) -> int:
    """The CPU threads of each of a job's `processes` if `slots` jobs share this machine's cores evenly."""
    return max(1, core_count() // slots // processes)


def work(arguments: dict[str, Any]) -> int:
    """In the child: select the slot's GPU, then run the worker."""
    from grape_bench.execute import worker

    if arguments["gpu"] is not None:
        os.environ[VISIBLE] = arguments["gpu"]
        os.environ[GPU_JOBS] = str(arguments["gpu_jobs"])
    given = [f"--{name.replace('_', '-')}={arguments[name]}" for name in ("trainer", "threads", "checkpoint_every")]
    return worker.main([arguments["manifest"], arguments["job"], *given])
