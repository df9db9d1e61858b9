"""The command line that runs one job on a cluster node, and the limits that are enforced there."""

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
from grape_bench.execute.job_folder import write_job_manifest
from grape_bench.execute.outcome import late, too_large
from grape_bench.execute.process_tree import end, held_bytes, tree
from grape_bench.record.job import Job
from grape_bench.record.record import Outcome

_TICK_S = 0.5


def worker_command(job: Job, folder: Path, options: Options) -> list[str]:
    """Write the job's own manifest, and return the command that runs it with this Python and this copy of grape_bench.

    Raises OSError.
    """
    cluster = options.cluster
    package = str(Path(grape_bench.__file__).parent.parent)
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    # -P: a user's `data/` or `random.py` in the current folder must not shadow a library's module.
    python = ["/usr/bin/env", f"PYTHONPATH={path}", f"OMP_NUM_THREADS={cluster.cpus}", sys.executable, "-P"]
    arguments = [str(write_job_manifest(job, folder, options.git).absolute()), job.id, "--trainer", options.trainer]
    arguments += ["--checkpoint-every", str(options.checkpoint_every)]
    return [*python, "-m", "grape_bench.execute.worker", *arguments, "--threads", str(cluster.cpus)]


def run_command(command: list[str], seconds: float | None, memory: int | None) -> tuple[int, Outcome | None]:
    """Run `command` and return its exit code (negative: a signal), and an outcome if it exceeded a limit.

    The limits `seconds` and `memory` (bytes) cover the command and every process it starts. All of them are killed at
    the end.
    """
    process = subprocess.Popen(command, start_new_session=True)
    started = time.monotonic()
    try:
        while True:
            # Wait in short steps: Ray's cancellation raises an exception here, but cannot interrupt a system call.
            with suppress(subprocess.TimeoutExpired):
                return process.wait(_TICK_S), None
            if seconds and time.monotonic() - started > seconds:
                return -signal.SIGKILL, late(seconds)
            if memory and (held := held_bytes(process.pid, memory)) > memory:
                return -signal.SIGKILL, too_large(held, memory)
    finally:
        for member in tree(process.pid):
            end(member)
        end(process.pid)  # kills its process group even if the command has already ended
        process.wait()


def time_limit_s(options: Options) -> float | None:
    """Return the time limit of a job in seconds: from the command line, or else from the cluster settings."""
    if options.time_limit_s is None and options.cluster.minutes:
        return options.cluster.minutes * 60.0
    return options.time_limit_s
