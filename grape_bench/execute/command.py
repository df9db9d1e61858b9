"""The command that runs one job on whatever machine it is started on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import grape_bench
from grape_bench.execute.executor import Options
from grape_bench.plan.job import Job
from grape_bench.track.record import MANIFEST


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


def time_limit_s(options: Options) -> float | None:
    """The seconds that a job may take: as the command line says, else as the cluster's settings do."""
    if options.time_limit_s is None and options.cluster.minutes:
        return options.cluster.minutes * 60.0
    return options.time_limit_s
