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

from grape_bench.execute.executor import Options, ReportsEnds
from grape_bench.execute.gpus import gpu_of_slot
from grape_bench.execute.outcome import record_of_the_dead
from grape_bench.execute.pool import Pool
from grape_bench.execute.preflight import preflight
from grape_bench.execute.preload import preload
from grape_bench.execute.progress import read_progress
from grape_bench.execute.resume import own_record
from grape_bench.execute.worker import PROGRESS
from grape_bench.plan.job import Job
from grape_bench.track.environment import core_count
from grape_bench.track.record import MANIFEST, RECORD, Record, now

_TICK_S = 0.2


@dataclass
class _Running:
    job: Job
    slot: int
    started: str
    since: float  # time.monotonic()
    timed_out: bool = False


class Local:
    """The executor `local`."""

    def __init__(self, options: Options, jobs: Sequence[Job]) -> None:
        self.options = options
        self._preload = preload(jobs, options.trainer)
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

    def slots(self) -> int:
        """As in Executor."""
        return self.options.slots or self._gpus or core_count()

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
                self._stop_late()
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
            "threads": max(1, core_count() // self.slots()),
            "gpu": gpu_of_slot(slot, self._gpus, os.environ),
        }
        self._running[job.id] = _Running(job, slot, now(), time.monotonic())
        self._pool.start(job.id, "grape_bench.execute.local:work", arguments)

    def _record(self, ended: _Running, code: int, folder: Path) -> Record:
        """The record that the worker wrote, or one written here for a worker that could not."""
        (folder / ended.job.name / PROGRESS).unlink(missing_ok=True)
        return own_record(ended.job, folder) or record_of_the_dead(
            ended.job,
            folder,
            code=code,
            started=ended.started,
            time_limit_s=self.options.time_limit_s if ended.timed_out else None,
        )

    def _stop_late(self) -> None:
        limit = self.options.time_limit_s
        for key, running in self._running.items():
            if limit and not running.timed_out and time.monotonic() - running.since > limit:
                running.timed_out = True
                self._pool.kill(key)


def work(arguments: dict[str, Any]) -> int:
    """In the child: the device of this slot, then the worker that every executor runs."""
    from grape_bench.execute import worker

    if arguments["gpu"] is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = arguments["gpu"]
    command = [arguments["manifest"], arguments["job"], "--trainer", arguments["trainer"]]
    return worker.main([*command, "--threads", str(arguments["threads"])])
