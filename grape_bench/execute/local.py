"""Run jobs on this machine: a process per job, on as many slots as there are GPUs or cores."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from grape_bench.errors import UserError
from grape_bench.execute.executor import Options, ReportsEnds
from grape_bench.execute.gpus import gpu_of_slot
from grape_bench.execute.outcome import crashed, kernel_oom_kills, late, too_large, write_outcome, written_record
from grape_bench.execute.pool import Pool
from grape_bench.execute.preflight import preflight, preload
from grape_bench.execute.process_tree import held_bytes
from grape_bench.execute.worker import PROGRESS, read_progress
from grape_bench.record.job import Job
from grape_bench.record.manifest import MANIFEST
from grape_bench.record.record import RECORD, Outcome, Record, now
from grape_bench.track.environment import GPU_JOBS, core_count

_TICK_S = 0.2


@dataclass
class _Running:
    job: Job
    slot: int
    started: str
    oom_kills: int  # of the kernel, before it was started
    since: float  # time.monotonic()
    stopped: Outcome | None = None  # where it was killed for going beyond a limit


class Local:
    """The executor `local`."""

    def __init__(self, options: Options, jobs: Sequence[Job]) -> None:
        self.options = options
        self._preload = preload(jobs, options.trainer)
        self._processes = max(job.nproc for job in jobs)  # of a job, at most
        self._gpus = 0
        self._running: dict[str, _Running] = {}

    def __enter__(self) -> Local:
        self._pool = Pool(self._preload)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.close()

    def check(self, jobs: Sequence[Job]) -> None:
        """As in Executor."""
        self._gpus = preflight(self._pool, jobs, self.options.trainer)
        if 0 < self._gpus < self._processes:
            what = f"{self._processes} processes for a job, and {self._gpus} GPUs"
            raise UserError(what, where="--nproc", hint="a process needs a GPU of its own")

    def slots(self) -> int:
        """As in Executor."""
        return self.options.slots or max(1, (self._gpus or core_count()) // self._processes)

    def hold(self, descriptor: int) -> None:
        """As in Executor."""
        self._pool.hold(descriptor)

    def run(self, jobs: Sequence[Job], folder: Path, display: ReportsEnds) -> None:
        """As in Executor."""
        waiting, free = deque(jobs), deque(range(self.slots()))
        try:
            while waiting or self._running:
                while waiting and free:
                    display.started(waiting[0])
                    self._start(waiting.popleft(), free.popleft(), folder)
                for key, code in self._pool.ended(_TICK_S):
                    ended = self._running.pop(key)
                    free.append(ended.slot)
                    display.ended(self._record(ended, code, folder))
                self._enforce_limits()
                display.progressed(read_progress([running.job for running in self._running.values()], folder))
        finally:
            self._end_all()

    def _end_all(self) -> None:
        """After an interruption: no job goes on while the caller tidies up."""
        for key in self._running:
            self._pool.kill(key)
        while self._running:
            for key, _ in self._pool.ended(None):
                self._running.pop(key)

    def _start(self, job: Job, slot: int, folder: Path) -> None:
        # Before the process is: one that dies at birth must not inherit the record of an earlier attempt.
        (folder / job.name / RECORD).unlink(missing_ok=True)
        arguments = {
            "manifest": str(folder / MANIFEST),
            "job": job.id,
            "trainer": self.options.trainer,
            "checkpoint_every": str(self.options.checkpoint_every),
            "threads": max(1, core_count() // self.slots() // job.nproc),
            "gpu": self._gpu(slot, job.nproc),
            "gpu_jobs": -(-self.slots() * self._processes // self._gpus) if self._gpus else 1,
        }
        self._running[job.id] = _Running(job, slot, now(), kernel_oom_kills(), time.monotonic())
        self._pool.start(job.id, "grape_bench.execute.local:work", arguments)

    def _gpu(self, slot: int, processes: int) -> str | None:
        """The devices of a slot, one per process of its job."""
        first = slot * self._processes
        names = [gpu_of_slot(first + index, self._gpus, os.environ) for index in range(processes)]
        return ",".join(filter(None, names)) or None

    def _record(self, ended: _Running, code: int, folder: Path) -> Record:
        """The record that the worker wrote, or one written here for a worker that could not."""
        (folder / ended.job.name / PROGRESS).unlink(missing_ok=True)
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
        """The outcome of a job that has gone beyond a limit."""
        seconds, memory = self.options.time_limit_s, self.options.memory_limit
        if seconds and time.monotonic() - running.since > seconds:
            return late(seconds)
        process = self._pool.process(key)
        if memory and process and (held := held_bytes(process, memory)) > memory:
            return too_large(held, memory)
        return None


def work(arguments: dict[str, Any]) -> int:
    """In the child: the device of this slot, then the worker that every executor runs."""
    from grape_bench.execute import worker

    if arguments["gpu"] is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = arguments["gpu"]
        os.environ[GPU_JOBS] = str(arguments["gpu_jobs"])
    given = [f"--{name.replace('_', '-')}={arguments[name]}" for name in ("trainer", "threads", "checkpoint_every")]
    return worker.main([arguments["manifest"], arguments["job"], *given])
