"""Slurm's states of jobs, from a stand-in for `squeue`."""

from __future__ import annotations

from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.execute import slurm
from grape_bench.execute.slurm import State

ANSWER = """\
7_0                                     RUNNING                 0               None
7_1                                     PENDING                 0               JobArrayTaskLimit
7_2                                     FAILED                  35072           NonZeroExitCode
7_3                                     OUT_OF_MEMORY           0               OutOfMemory
12                                      NODE_FAIL               0               NodeFail
"""


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called squeue that prints the file `answer`."""
    (tmp_path / "answer").write_text(ANSWER)
    program = tmp_path / "squeue"
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/answer\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return program


def test_states_by_job(squeue: Path) -> None:
    found = slurm.states("grape-bench-0f")
    assert found["7_2"] == State("FAILED", 137 << 8)
    assert {job: (state.running, state.over) for job, state in found.items()} == {
        "7_0": (True, False), "7_1": (False, False), "7_2": (False, True), "7_3": (False, True), "12": (False, True),
    }  # fmt: skip
    assert {job: state.status for job, state in found.items() if state.over} == {
        "7_2": "crashed", "7_3": "oom", "12": "crashed",
    }  # fmt: skip
    assert (State("TIMEOUT", 15).status, str(State("TIMEOUT", 15))) == ("timeout", "TIMEOUT")
    assert str(found["7_2"]) == "FAILED, exit code 137 (128 + SIGKILL)"


def test_a_slurm_that_does_not_answer(squeue: Path) -> None:
    squeue.write_text("#!/bin/sh\necho slurm_load_jobs error: Unable to contact slurm controller >&2\nexit 1\n")
    with pytest.raises(RuntimeError, match="squeue failed: slurm_load_jobs error: Unable to contact"):
        slurm.states("grape-bench-0f")


def test_a_machine_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no sbatch on this machine"):
        slurm.check_slurm()
