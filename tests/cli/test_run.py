"""`grape-bench run` as a user types it, with real training on real digits."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from grape_bench.cli.main import cli
from grape_bench.execute.folder import locked
from tests.execute.test_sweep import gone

SUITE = """\
name = "small"
version = "1.0"
rules = ["bp", "dfa"]
seeds = 1
features = false
[[task]]
name = "digits-mlp"
model = "mlp"
model_args = { hidden = [16] }
dataset = "digits"
epochs = 1
batch_size = 256
optimizer = { name = "sgd", lr = 0.1 }
"""
SLOW_RULE = """\
import os, time
import grape_bench as gb

class Slow(gb.DirectFeedback):
    def signal(self, block, error):
        if len(error) < 10:  # a step before the run has few samples
            return self.project(error, block)
        with open("pid", "w") as file:
            file.write(str(os.getpid()))
        if not os.path.exists("quick"):
            time.sleep(600)
        return self.project(error, block)
"""


SLOW = ("--rule", "slow.py:Slow", "--only", "Slow", "--tracking-uri", "none")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "grape_bench", "run", "small.toml", *arguments]


def call(*arguments: str) -> Result:
    """The same command in this process, where the import of torch is done."""
    return CliRunner().invoke(cli, ["run", "small.toml", *arguments])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    (tmp_path / "small.toml").write_text(SUITE)
    (tmp_path / "slow.py").write_text(SLOW_RULE)
    return tmp_path


def test_a_run_and_its_repetition(folder: Path) -> None:
    first = subprocess.run(command(), cwd=folder, capture_output=True, text=True)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "2 jobs to run" in first.stdout
    assert "[2/2] digits-mlp " in first.stdout
    assert "mlflow ui --backend-store-uri sqlite:///mlflow.db" in first.stdout
    assert first.stderr == ""
    assert (folder / "mlflow.db").is_file()
    runs = folder / "runs" / "small"
    assert {row["rule"] for row in csv.DictReader((runs / "table.csv").open())} == {"bp", "dfa"}
    assert "dfa" in (runs / "table.md").read_text()
    records = {path: path.read_bytes() for path in runs.glob("*/record.json")}
    assert {json.loads(content)["status"] for content in records.values()} == {"finished"}

    again = call("--tracking-uri", "none")
    assert again.exit_code == 0
    assert "all 2 jobs are already done: nothing to run" in again.stdout
    assert {path: path.read_bytes() for path in runs.glob("*/record.json")} == records


def test_a_loss_that_is_not_finite(folder: Path) -> None:
    done = call("--only", "dfa", "--set", "task.optimizer.lr=1e30", "--tracking-uri", "none")
    assert done.exit_code == 2, done.output
    assert "diverged: digits-mlp dfa, seed 0: " in done.stderr
    assert "--set digits-mlp.rule.dfa.lr=1e+29" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(folder.glob("runs/small/*/record.json"))


def start_slow(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """A run with a job that hangs, and the process id of that job."""
    run = subprocess.Popen(command(*SLOW), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    give_up = time.monotonic() + 60
    while not (folder / "pid").exists() or not (folder / "pid").read_text():
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.05)
    return run, int((folder / "pid").read_text())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_by_a_signal(folder: Path, number: int, code: int) -> None:
    run, job = start_slow(folder)
    run.send_signal(number)
    _, stderr = run.communicate(timeout=60)
    assert run.returncode == code
    assert stderr.splitlines() == [
        "stopped: 0 of 1 jobs are done, and no job is still running.",
        "Run the same command again (without --fresh) to resume.",
    ]
    assert gone(job)
    assert not list(folder.glob("runs/small/*/record.json"))


def test_killed_outright_leaves_no_process_and_the_same_command_finishes(folder: Path) -> None:
    run, job = start_slow(folder)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    assert gone(job)
    with locked(folder / "runs" / "small"):
        pass
    (folder / "quick").touch()
    done = call(*SLOW)
    assert done.exit_code == 0, done.stderr
    assert len(list(folder.glob("runs/small/*/record.json"))) == 1


def test_two_runs_on_one_folder(folder: Path) -> None:
    run, _ = start_slow(folder)
    try:
        second = call(*SLOW)
        assert second.exit_code == 2
        assert f"another run (process {run.pid}) is writing to this folder" in second.stderr
    finally:
        run.terminate()
        run.communicate()
