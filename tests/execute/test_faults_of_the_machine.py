"""Faults of the machine during `run`: one message and the way to resume, exit code 2, and no trace."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grape_bench.errors import UserError
from grape_bench.execute.ask import ask
from grape_bench.execute.faults import fault
from grape_bench.execute.pool import Pool
from grape_bench.execute.sweep import run_sweep
from grape_bench.publish.sandbox import missing
from grape_bench.record.folder import read_records
from tests.execute.misbehavior import suite
from tests.execute.sweeps import Watch, request
from tests.execute.test_isolation import small_disk

__all__ = ["small_disk"]  # a fixture
RESUME = "then run the same command again to resume"


def run(folder: Path, *, limit: Callable[[], None] | None = None, **environment: str) -> tuple[int, str]:
    """`grape-bench run` on bp alone, with a limit on its process: its exit code, and what it said."""
    command = [sys.executable, "-m", "grape_bench", "run", str(suite(folder, [])), "--tracking-uri=none", "--slots=1"]
    given = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment}
    done = subprocess.run(command, cwd=folder, env=given, preexec_fn=limit, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr


@pytest.mark.cold
def test_too_little_memory_for_torch_is_one_message(tmp_path: Path) -> None:
    def little() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (400 * 2**20, 400 * 2**20))

    code, said = run(tmp_path, limit=little)
    assert code == 2
    assert said.startswith("error: the process that starts the jobs has ended") and RESUME in said
    assert len(said.splitlines()) == 2


@pytest.mark.cold
def test_a_limit_on_the_size_of_files_is_one_message(tmp_path: Path) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    code, said = run(tmp_path, limit=small)
    assert code == 2
    assert "File too large" in said and RESUME in said


@pytest.mark.cold
def test_a_folder_for_temporary_files_that_is_full_or_missing_costs_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, TMPDIR=str(tmp_path / "missing")) == (0, "")


@pytest.mark.skipif(bool(missing()), reason=missing() or "bubblewrap is here")
def test_an_output_folder_on_a_read_only_disk_is_one_message_at_once(tmp_path: Path) -> None:
    """Root may write to a folder without write permission, but not to a disk that is mounted read-only."""
    (tmp_path / "runs").mkdir()
    command = ["bwrap", "--bind", "/", "/", "--dev-bind", "/dev", "/dev", "--ro-bind", *[str(tmp_path / "runs")] * 2]
    command += [sys.executable, "-m", "grape_bench", "run", str(suite(tmp_path, [])), "--tracking-uri=none"]
    given = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.endswith("runs: this folder is not writable\n  try: another folder, with --out DIR\n")


FAULTS = [
    MemoryError(),
    OSError(28, "No space left on device"),
    IsADirectoryError(21, "Is a directory"),
    FileNotFoundError(2, "No usable temporary directory"),
]


@pytest.mark.parametrize("error", FAULTS)
def test_faults_say_how_to_resume(error: BaseException) -> None:
    message = fault(error)
    assert message and RESUME in str(message)


def test_a_bug_is_no_fault_of_the_machine() -> None:
    assert fault(FileNotFoundError(2, "No such file")) is None and fault(ValueError()) is None


def fill(folder: str) -> None:
    """In a child: leave no space in `folder`."""
    with Path(folder, "fill").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1000))


def test_a_folder_for_temporary_files_that_fills_up_is_one_message(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    pool = Pool([__name__])
    with closing(pool), pytest.raises(UserError, match=f"^{small_disk}: cannot be written to: No space left") as error:
        ask(pool, f"{__name__}:fill", str(small_disk))
    assert RESUME in str(error.value)


class Kills(Watch):
    """Kills the fork server after a job has started, a given number of times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times, self.pools = times, set[Pool]()

    def progressed(self, progress: dict[str, dict[str, Any]]) -> None:
        for pool in self.pools:
            if self.times and pool._pids:
                self.times -= 1
                os.kill(pool._process.pid, signal.SIGKILL)


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> set[Pool]:
    """The pools that this test makes."""
    made: set[Pool] = set()
    monkeypatch.setattr("grape_bench.execute.local.Pool", lambda preload: made.add(pool := Pool(preload)) or pool)
    return made


def test_a_fork_server_that_is_killed_is_replaced_and_every_job_finishes(tmp_path: Path, pools: set[Pool]) -> None:
    acts = [{"act": "slow", "seconds": 0.6}, {"act": "slow", "seconds": 0.6, "n": 2}, {"act": "finish"}]
    watch = Kills(1)
    watch.pools = pools
    records = run_sweep(request(tmp_path, acts, slots=2), watch, None)
    assert [record.status for record in records] == ["finished"] * 3
    (warning,) = watch.warnings
    assert warning.startswith("the process that starts the jobs has ended; another one takes over")


def test_a_job_that_loses_the_fork_server_alone_has_crashed(tmp_path: Path, pools: set[Pool]) -> None:
    acts = [{"act": "kill-server"}, {"act": "slow", "seconds": 0.6}, {"act": "finish"}]
    records = run_sweep(request(tmp_path, acts, slots=2), Watch(), None)
    assert [record.status for record in records] == ["crashed", "finished", "finished"]
    assert records[0].reason == "the process that starts the jobs has ended, twice while this job was running"
    assert read_records(tmp_path / "runs" / "acts") == records


def test_drafts_of_killed_schedulers_are_removed(tmp_path: Path) -> None:
    asked = request(tmp_path, [{"act": "finish"}])
    asked.folder.mkdir(parents=True)
    for name in (".123.manifest.json", ".manifest.json.123"):
        (asked.folder / name).write_text("{")
    run_sweep(asked, Watch(), None)
    assert sorted(path.name for path in asked.folder.glob(".*")) == [".lock"]
    run_sweep(replace(asked, fresh=True), Watch(), None)
