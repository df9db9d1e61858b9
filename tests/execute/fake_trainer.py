"""A trainer for tests: the model argument `act` says what happens instead of training. Runs only in a child."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError
from grape_bench.execute.process_tree import held_bytes
from grape_bench.record.environment import GPU_JOBS
from grape_bench.record.job import Job

HOG_LIMIT = 600 * 2**20

MEASURED: dict[str, Any] = {
    "status": "finished",
    "reason": "",
    "metric": {"name": "accuracy", "unit": "percent", "chance": 10.0},
    "result": {"test": 91.0, "validation": 92.0, "train_loss": 0.5},
    "time": {"setup_s": 0.1, "train_s": 0.2, "evaluate_s": 0.1, "steps": 4, "samples": 256},
    "memory": {"baseline_bytes": 100, "peak_bytes": 150, "kind": "rss"},
    "profile": None,
    "credit": {"bp_fraction": 1.0, "declared_bp_fraction": 1.0, "backward_passes": 4, "hidden_block_passes": 4},
    "network": {"blocks": [], "parameters": {"rule": 0, "exact": 2, "frozen": 0}},
    "data": {"name": "digits"},
    "seeds": {"init": 1},
}


def gpu_count() -> int:
    return int(os.environ.get("FAKE_GPUS", "0"))


def check(job: Job) -> None:
    if job.model_args.get("act") == "refuse":
        raise UserError("this cannot be trained", where=f"task {job.task!r}", hint="something else")


def run(job: Job, on_epoch: Callable[[dict[str, Any]], None], checkpoints: object = None) -> dict[str, Any]:
    act = str(job.model_args.get("act", "finish"))
    print("started", act, flush=True)
    for epoch in range(1, job.epochs + 1):
        if act == "fork" and epoch == job.epochs:
            os.fork()
        if act == "chdir":
            os.chdir("/")
        row = {"epoch": epoch, "samples": 128 * epoch, "seconds": 0.1 * epoch, "train_loss": 1.0}
        on_epoch({**row, "validation_loss": 1.0, "validation_accuracy": 50.0})
    if act in ACTS:
        return ACTS[act](job)
    return MEASURED


def diverge(job: Job) -> dict[str, Any]:
    reason = "the loss is nan in epoch 1, step 3"
    return {**MEASURED, "status": "diverged", "reason": reason, "result": None}


def error(job: Job) -> dict[str, Any]:
    raise ValueError("a bug in a user's rule")


def out_of_memory(job: Job) -> dict[str, Any]:
    raise MemoryError("no room")


def cuda_out_of_memory(job: Job) -> dict[str, Any]:
    import torch

    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def hog(job: Job) -> dict[str, Any]:
    """Takes a little more memory than the limit, however late that is noticed, and waits to be killed."""
    held = []
    while held_bytes(os.getpid(), HOG_LIMIT) <= HOG_LIMIT:
        held.append(bytearray(os.urandom(1024)) * 2**14)  # 16 MiB
        time.sleep(0.02)
    time.sleep(600)
    return MEASURED


def hog_in_cgroup(job: Job) -> dict[str, Any]:
    (Path(str(job.model_args["cgroup"])) / "cgroup.procs").write_text(str(os.getpid()))
    return hog(job)


def hog_elsewhere(job: Job) -> dict[str, Any]:
    """Takes the memory in a child process."""
    code = "import time; held = bytearray(b'grape') * (1 << 27); time.sleep(600)"
    subprocess.run([sys.executable, "-c", code], start_new_session=True)
    return MEASURED


def leave_a_daemon(job: Job) -> dict[str, Any]:
    """Leaves an orphan process in its own session."""
    code = "import os, time; os.fork() and os._exit(0); os.setsid(); print(os.getpid(), flush=True); time.sleep(600)"
    with Path(str(job.model_args["pids"])).open("w") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file)
    while not Path(str(job.model_args["pids"])).read_text().endswith("\n"):
        time.sleep(0.01)
    return MEASURED


def leave_a_daemon_and_hang(job: Job) -> dict[str, Any]:
    leave_a_daemon(job)
    time.sleep(600)
    return MEASURED


def leave(job: Job) -> dict[str, Any]:
    sys.exit(5)


def fill(job: Job) -> dict[str, Any]:
    """Prints until the disk is full. The second time, it finishes."""
    been = Path(str(job.model_args["been"]))
    if been.exists():
        return MEASURED
    been.touch()
    while True:
        os.write(1, b"words, words\n" * 1000)


def segfault(job: Job) -> dict[str, Any]:
    ctypes.string_at(0)
    return MEASURED


def vanish(job: Job) -> dict[str, Any]:
    os._exit(137)


def kill_parent(job: Job) -> dict[str, Any]:
    """Kills the process that would write its record."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)
    return MEASURED


def kill_server(job: Job) -> dict[str, Any]:
    """Kills the process that started the process that started this one."""
    status = Path(f"/proc/{os.getppid()}/status").read_text()
    time.sleep(0.3)  # the other jobs have started too
    os.kill(int(status.partition("PPid:")[2].split()[0]), signal.SIGKILL)
    time.sleep(600)
    return MEASURED


def slow(job: Job) -> dict[str, Any]:
    time.sleep(float(str(job.model_args["seconds"])))
    return MEASURED


def hang(job: Job) -> dict[str, Any]:
    """Writes its process id and that of a child, and never returns."""
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(str(job.model_args["pids"])).write_text(f"{os.getpid()} {helper.pid}")
    time.sleep(600)
    return MEASURED


def crash_once(job: Job) -> dict[str, Any]:
    been = Path(str(job.model_args["been"]))
    if been.exists():
        return MEASURED
    been.touch()
    os._exit(3)


def count(job: Job) -> dict[str, Any]:
    with Path(str(job.model_args["count"])).open("a") as file:
        file.write(f"{job.name}\n")
    return MEASURED


def wait(job: Job) -> dict[str, Any]:
    until = Path(str(job.model_args["until"]))
    until.with_name(f"{job.task}.pid").write_text(str(os.getpid()))
    while not until.exists():
        time.sleep(0.1)
    return count(job)


def threads(job: Job) -> dict[str, Any]:
    import torch

    return {
        **MEASURED,
        "data": {"name": "digits", "threads": torch.get_num_threads(), "pid": os.getpid(), "sid": os.getsid(0)},
    }


def device(job: Job) -> dict[str, Any]:
    """Ends when as many jobs have started as there are slots, so that each slot runs at least one."""
    started, wait_for = Path(str(job.model_args["started"])), int(str(job.model_args["wait_for"]))
    with started.open("a") as file:
        file.write(f"{job.name}\n")
    while len(started.read_text().splitlines()) < wait_for:
        time.sleep(0.01)
    seen = {"visible": os.environ.get("CUDA_VISIBLE_DEVICES"), "gpu_jobs": os.environ.get(GPU_JOBS)}
    return {**MEASURED, "data": {"name": "digits", **seen}}


ACTS: dict[str, Callable[[Job], dict[str, Any]]] = {
    "diverge": diverge,
    "error": error,
    "oom": out_of_memory,
    "cuda-oom": cuda_out_of_memory,
    "hog": hog,
    "hog-in-cgroup": hog_in_cgroup,
    "hog-elsewhere": hog_elsewhere,
    "daemon": leave_a_daemon,
    "daemon-hang": leave_a_daemon_and_hang,
    "leave": leave,
    "fill": fill,
    "segfault": segfault,
    "vanish": vanish,
    "kill-parent": kill_parent,
    "kill-server": kill_server,
    "slow": slow,
    "hang": hang,
    "wait": wait,
    "crash-once": crash_once,
    "count": count,
    "threads": threads,
    "device": device,
}
