"""Several processes for one job, through `torchrun`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import grape_bench


def launch(processes: int, threads: int, arguments: Sequence[str]) -> NoReturn:
    """Become `torchrun`, which starts the worker with `arguments` so many times on this machine.

    None of them outlives it.
    """
    here = "127.0.0.1"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--local-addr={here}"]
    worker = ["-m", "grape_bench.execute.worker", *arguments, "--of-several", "--end-with-parent"]
    place = str(Path(grape_bench.__file__).parent.parent)
    environment = {
        "GLOO_SOCKET_IFNAME": "lo",
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join([place, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONSAFEPATH": "1",  # a user's `data/` in the current folder must not stand in the place of a library's
    }
    os.execve(sys.executable, [*torchrun, f"--nproc-per-node={processes}", *worker], environment)
