"""Slurm's own account of its jobs: `squeue` and `scancel`, which need no accounting database."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from grape_bench.errors import UserError
from grape_bench.record.status import Status

_WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD")
_RUNNING = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "PREEMPTED", "RESIZING", "SIGNALING", "STAGE_OUT")
_STATUS = {"OUT_OF_MEMORY": Status.OOM, "TIMEOUT": Status.TIMEOUT, "DEADLINE": Status.TIMEOUT}  # the rest are crashes
_FORMAT = "JobArrayID:40,State:24,exit_code:16,Reason:60"


@dataclass(frozen=True)
class State:
    """Of one job: Slurm's word for it, and the wait status of its process."""

    word: str
    code: int = 0

    @property
    def running(self) -> bool:
        """It has a node."""
        return self.word in _RUNNING

    @property
    def over(self) -> bool:
        """It will not run (again)."""
        return self.word not in _WAITING + _RUNNING

    @property
    def status(self) -> Status:
        """The status of a record that the job itself could not write."""
        return _STATUS.get(self.word, Status.CRASHED)

    def __str__(self) -> str:
        exit_code = self.code >> 8
        if self.word != "FAILED" or not exit_code:
            return self.word
        # As a shell says that a signal has ended a program.
        names = {128 + number: f" (128 + {number.name})" for number in signal.Signals}
        return f"{self.word}, exit code {exit_code}{names.get(exit_code, '')}"


VANISHED = State("VANISHED")  # Slurm forgets a job some minutes (MinJobAge) after its end


def states(name: str) -> dict[str, State]:
    """The jobs called `name`, by id (`12_3`, or `12` outside an array), also those that ended lately.

    Raises RuntimeError where Slurm does not answer.
    """
    command = ["squeue", f"--name={name}", "--states=all", "--array", "--noheader", f"--Format={_FORMAT}"]
    found = {}
    for line in _ask(command).splitlines():
        words = line.split()
        if len(words) >= 3:
            found[words[0]] = State(words[1], int(words[2]))
    return found


def cancel(jobs: Iterable[str]) -> None:
    """End these jobs, whatever they are doing; those that are over already are no error."""
    wanted = sorted(jobs)
    for start in range(0, len(wanted), 500):  # a command line has an end
        _ask(["scancel", "--quiet", *wanted[start : start + 500]])


def check_slurm() -> None:
    """Raise UserError where there are no Slurm commands or they get no answer."""
    missing = [command for command in ("sbatch", "squeue", "scancel", "srun") if shutil.which(command) is None]
    if missing:
        raise UserError(
            f"no {missing[0]} on this machine", where="--executor slurm", hint="a login node of the cluster"
        )
    try:
        _ask(["sinfo", "--noheader"])
    except RuntimeError as error:
        raise UserError(str(error), where="--executor slurm") from error


def _ask(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{command[0]} gave no answer within {error.timeout:.0f} s") from error
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout
