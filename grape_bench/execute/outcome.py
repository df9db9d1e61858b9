"""The record of a job whose process ended without writing one."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from grape_bench.plan.job import Job
from grape_bench.track.environment import core_count, environment, git_state
from grape_bench.track.record import Record, make_record, write_record


def record_of_the_dead(job: Job, folder: Path, *, code: int, started: str, time_limit_s: float | None) -> Record:
    """Write and return the record of `job`, whose process ended with `code` (minus a signal's number).

    `time_limit_s` is given when it was ended for having run that long.
    """
    if time_limit_s is not None:
        outcome = {"status": "timeout", "reason": f"still running after {time_limit_s:g} s"}
    else:
        outcome = {"status": "crashed", "reason": describe(code)}
    return write_outcome(job, folder, outcome, started=started, about={})


def write_outcome(
    job: Job, folder: Path, outcome: dict[str, str], *, started: str, about: dict[str, dict[str, Any]]
) -> Record:
    """Write and return the record of `job` with `outcome` (status and reason); `about` adds to its environment.

    The versions and hardware in it are this machine's.
    """
    (folder / job.name).mkdir(exist_ok=True)
    record = make_record(
        job.to_dict(),
        identity=(job.id, job.name),
        outcome=outcome,
        environment=environment(core_count(), git_state()) | about,
        started=started,
    )
    write_record(folder / job.name, record)
    return record


def describe(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"the process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    # The kernel gives no reason; short of a person, it is what ends processes with SIGKILL.
    return f"killed by {name}" + (", perhaps for want of memory" if name == "SIGKILL" else "")


def stderr_tail(path: Path, lines: int = 8) -> str:
    """The last lines that a job printed, of its file stderr.txt; "" where there is none."""
    if not path.is_file():
        return ""
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
