"""Calls of Slurm's commands: read the states of jobs and the largest array size, and cancel jobs."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from grape_bench.errors import UserError
from grape_bench.record.status import Status

LARGEST_ARRAY = 1000
_WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD")
_RUNNING = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "PREEMPTED", "RESIZING", "SIGNALING", "STAGE_OUT")
_STATUS = {"OUT_OF_MEMORY": Status.OOM, "TIMEOUT": Status.TIMEOUT, "DEADLINE": Status.TIMEOUT}  # all others are crashes
_FORMAT = "JobArrayID:40,State:24,exit_code:16,Reason:60"


@dataclass(frozen=True)
class State:
    """Slurm's state of one job, and the wait status of its process."""

    word: str
    code: int = 0

    @property
    def running(self) -> bool:
        """Whether the job has a node."""
        return self.word in _RUNNING

    @property
    def over(self) -> bool:
        """Whether the job has ended and will not be requeued."""
        return self.word not in _WAITING + _RUNNING

    @property
    def status(self) -> Status:
        """The status for the record of a job that could not write one."""
        return _STATUS.get(self.word, Status.CRASHED)

    def __str__(self) -> str:
        exit_code = self.code >> 8
        if self.word != "FAILED" or not exit_code:
            return self.word
        # A shell reports a signal as 128 + its number.
        names = {128 + number: f" (128 + {number.name})" for number in signal.Signals}
        return f"{self.word}, exit code {exit_code}{names.get(exit_code, '')}"


VANISHED = State("VANISHED")  # Slurm forgets a job a few minutes (MinJobAge) after it ends


def states(name: str) -> dict[str, State]:
    """Return the states of the jobs called `name`, by id (`12_3`, or `12` outside an array).

    Includes jobs that ended recently. Raises RuntimeError if Slurm does not answer.
    """
    command = ["squeue", f"--name={name}", "--states=all", "--array", "--noheader", f"--Format={_FORMAT}"]
    found = {}
    for line in _ask(command).splitlines():
        words = line.split()
        if len(words) >= 3:
            found[words[0]] = State(words[1], int(words[2]))
    return found


def cancel(jobs: Iterable[str]) -> None:
    """Cancel these jobs. Jobs that have already ended are not an error."""
    wanted = sorted(jobs)
    for start in range(0, len(wanted), 500):  # a command line has a maximum length
        _ask(["scancel", "--quiet", *wanted[start : start + 500]])


def array_size() -> int:
    """Return how many jobs this cluster takes in one array: its MaxArraySize, and `LARGEST_ARRAY` at most."""
    try:
        found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _ask(["scontrol", "show", "config"]), re.MULTILINE)
    except (RuntimeError, OSError):  # scontrol may be missing, or not allowed
        return LARGEST_ARRAY
    return max(1, min(LARGEST_ARRAY, int(found[1]))) if found else LARGEST_ARRAY


def check_slurm() -> None:
    """Raise UserError if the Slurm commands are missing or get no answer."""
    missing = [command for command in ("sbatch", "squeue", "scancel", "srun") if shutil.which(command) is None]
    if missing:
        raise UserError(
            f"no {missing[0]} on this machine", where="--executor slurm", hint="run this on a login node of the cluster"
        )
    try:
        _ask(["sinfo", "--noheader"])
    except RuntimeError as error:
        raise UserError(str(error), where="--executor slurm") from error


def _ask(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{command[0]} did not answer within {error.timeout:.0f} s") from error
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout
