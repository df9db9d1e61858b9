"""Slurm's states of jobs, from a stand-in for `squeue`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from grape_bench.errors import UserError
from grape_bench.execute import slurm_commands as slurm
from grape_bench.execute.executor import Options
from grape_bench.execute.slurm import Slurm
from grape_bench.execute.slurm_commands import State
from grape_bench.plan import suite
from grape_bench.record.job import Job
from tests.job.jobs import job

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


@pytest.mark.parametrize(
    ("prints", "size"),
    [
        ("echo 'MaxArraySize            = 4'", 4),
        ("echo 'MaxArraySize            = 4000001'", 1000),
        ("echo 'MaxArraySize            = 0'", 1),
        ("echo 'MaxJobCount             = 10000'", 1000),
        ("exit 1", 1000),
    ],
)
def test_an_array_has_as_many_jobs_as_the_cluster_takes(squeue: Path, prints: str, size: int) -> None:
    scontrol = squeue.with_name("scontrol")
    scontrol.write_text(f"#!/bin/sh\n{prints}\n")
    scontrol.chmod(0o755)
    assert slurm.array_size() == size


def test_a_cluster_without_scontrol_gets_arrays_of_the_usual_size(squeue: Path) -> None:
    assert slurm.array_size() == 1000


@pytest.mark.parametrize(
    ("at_once", "after"),
    [(None, [None, None, None, None]), (2, [None, "10", "11", "12"]), (7, [None, None, "10", "11"])],
)
def test_small_arrays_wait_for_each_other_only_to_keep_to_the_limit(
    at_once: int | None, after: list[str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten jobs in arrays of three."""
    jobs = [job(seed=seed) for seed in range(10)]
    options = Options(cluster=suite.Cluster(slurm=suite.Slurm(array_parallelism=at_once)))
    waits: list[str | None] = []

    def submit(part: list[Job], folder: Path, previous: str | None) -> list[Any]:
        waits.append(previous)
        paths = SimpleNamespace(stdout="out", stderr="err")
        return [SimpleNamespace(job_id=f"{9 + len(waits)}_{index}", paths=paths) for index in range(len(part))]

    executor = Slurm(options, jobs)
    monkeypatch.setattr("grape_bench.execute.slurm.array_size", lambda: 3)
    monkeypatch.setattr(executor, "_array", submit)
    executor._submit(jobs, tmp_path)
    assert waits == after
