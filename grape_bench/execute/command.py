"""The command that runs one job, and how a node of a cluster runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import grape_bench
from grape_bench.execute.executor import Options
from grape_bench.execute.outcome import late, too_large
from grape_bench.execute.process_tree import end, held_bytes, tree
from grape_bench.record.job import Job
from grape_bench.record.manifest import MANIFEST
from grape_bench.record.record import Outcome

_TICK_S = 0.5


def worker_command(job: Job, folder: Path, options: Options) -> list[str]:
    """The worker on `job` of the manifest in `folder`, with this process's Python and this very grape_bench."""
    cluster = options.cluster
    place = str(Path(grape_bench.__file__).parent.parent)
    path = os.pathsep.join([place, *filter(None, [os.environ.get("PYTHONPATH")])])
    # -P: a user's `data/` or `random.py` in the current folder must not stand in the place of a library's.
    python = ["/usr/bin/env", f"PYTHONPATH={path}", f"OMP_NUM_THREADS={cluster.cpus}", sys.executable, "-P"]
    arguments = [str((folder / MANIFEST).absolute()), job.id, "--trainer", options.trainer]
    arguments += ["--checkpoint-every", str(options.checkpoint_every)]
    return [*python, "-m", "grape_bench.execute.worker", *arguments, "--threads", str(cluster.cpus)]


def run_command(command: list[str], seconds: float | None, memory: int | None) -> tuple[int, Outcome | None]:
    """The exit code of `command` (minus a signal's number), and its outcome where it went beyond a limit.

    `seconds`, and `memory` in bytes, are for it and all that it has started; nothing of that is left behind.
    """
    process = subprocess.Popen(command, start_new_session=True)
    started = time.monotonic()
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(_TICK_S), None  # not for ever: what cancels a task does not wake a system call
            if seconds and time.monotonic() - started > seconds:
                return -signal.SIGKILL, late(seconds)
            if memory and (held := held_bytes(process.pid, memory)) > memory:
                return -signal.SIGKILL, too_large(held, memory)
    finally:
        for member in tree(process.pid):
            end(member)
        end(process.pid)  # its group too, when it has ended before
        process.wait()


def time_limit_s(options: Options) -> float | None:
    """The seconds that a job may take: as the command line says, else as the cluster's settings do."""
    if options.time_limit_s is None and options.cluster.minutes:
        return options.cluster.minutes * 60.0
    return options.time_limit_s
