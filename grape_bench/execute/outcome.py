"""The record of a job whose process ended without writing one."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

from grape_bench.errors import printable, shortened
from grape_bench.execute import job_folder
from grape_bench.record.damage import DamagedError
from grape_bench.record.environment import SlurmJob, core_count, environment, git_state
from grape_bench.record.folder import own_record
from grape_bench.record.job import Job
from grape_bench.record.record import Outcome, Record, make_record
from grape_bench.record.status import Status

_TAIL = 1 << 16  # bytes of a log that are read
_LINES = 8  # that are shown


def write_outcome(job: Job, folder: Path, outcome: Outcome, *, started: str, slurm: SlurmJob | None = None) -> Record:
    """Write and return the record of `job` with `outcome`. It holds this machine's versions and hardware."""
    where = replace(environment(core_count(), git_state()), slurm=slurm)
    record = make_record(job, outcome, where, started)
    job_folder.finish(folder / job.name, record)
    return record


def written_record(job: Job, folder: Path) -> Record | None:
    """Return the record that the worker of `job` wrote, or None if it is missing or damaged."""
    try:
        return own_record(job, folder)
    except DamagedError:
        return None


def late(seconds: float) -> Outcome:
    """Return the outcome of a job that was killed at the time limit of `seconds`."""
    return Outcome(status=Status.TIMEOUT, reason=f"still running after {seconds:g} s")


def too_large(held: int, limit: int) -> Outcome:
    """Return the outcome of a job that was killed because it held `held` bytes."""
    return Outcome(status=Status.OOM, reason=f"held {in_units(held)}, more than the limit of {in_units(limit)}")


def crashed(code: int, oom_kills: int | None = None) -> Outcome:
    """Return the outcome for an exit code (negative: a signal).

    `oom_kills` is `kernel_oom_kills()` from before the job started, if known. If it has grown since, a SIGKILL means
    out of memory.
    """
    if code == -signal.SIGKILL and oom_kills is not None and kernel_oom_kills() > oom_kills:
        reason = "killed by the kernel: the machine, or this job's cgroup, was out of memory"
        return Outcome(status=Status.OOM, reason=reason)
    return Outcome(status=Status.CRASHED, reason=describe(code))


def kernel_oom_kills() -> int:
    """Return how many processes the kernel's OOM killer has killed since boot (Linux; elsewhere 0)."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def describe(code: int) -> str:
    """Describe an exit code (negative: a signal) in words."""
    if code >= 0:
        return f"the process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}"


def stderr_tail(path: Path) -> str:
    """Return the last lines of a job's stderr.txt; "" if there is no such file.

    After a fatal signal, return the first lines of the trace: they show the innermost call.
    """
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        printed = file.read(_TAIL).decode(errors="replace").splitlines()
    fatal = [number for number, line in enumerate(printed) if line.startswith("Fatal Python error: ")]
    first = fatal[-1] if fatal else max(0, len(printed) - _LINES)
    return "\n".join(printable(shortened(line)) for line in printed[first : first + _LINES])


def in_units(size: int) -> str:
    """Return a number of bytes as text, such as `512 MiB` or `2.50 GiB`."""
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
