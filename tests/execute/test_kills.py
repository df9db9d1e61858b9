"""A sweep that is killed and stopped at random moments gives the same results as an undisturbed one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

SUITE = """\
name = "sixty"
version = "1.0"
rules = ["bp", "fa", "dfa", "dfa+anchor", "grape", "grape+anchor"]
seeds = 10
[[task]]
name = "digits-mlp"
model = "mlp"
model_args = { hidden = [64, 64] }
dataset = "digits"
epochs = 10
batch_size = 32
optimizer = { name = "adamw", lr = 1e-3 }
schedule = "cosine"
"""
FILES = {"record.json", "curve.csv", "diagnostics.csv", "stderr.txt"}  # of a finished job
TOKEN = "GRAPE_BENCH_TEST_TOKEN"  # in the environment of a run, and so of every process it starts


class Sweep:
    """`grape-bench run` on one folder, again and again."""

    def __init__(self, folder: Path, suite: str, *options: str) -> None:
        folder.mkdir()
        (folder / "suite.toml").write_text(suite)
        self.folder, self.token = folder, uuid.uuid4().hex
        self.arguments = [sys.executable, "-m", "grape_bench", "run", "suite.toml", "--tracking-uri=none", *options]

    def start(self) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), TOKEN: self.token}
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return subprocess.Popen(self.arguments, cwd=self.folder, env=environment, **pipes)

    def processes(self) -> list[int]:
        """The live processes with the token in their environment."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if self.token.encode() in (process / "environ").read_bytes():
                    found.append(int(process.name))
            except OSError:
                continue
        return found

    def wait_until_none_is_left(self) -> None:
        give_up = time.monotonic() + 20
        while self.processes():
            assert time.monotonic() < give_up, self.processes()
            time.sleep(0.05)

    def records(self) -> dict[str, bytes]:
        return {path.parent.name: path.read_bytes() for path in self.folder.glob("runs/*/*/record.json")}

    def diagnostics(self, job: str) -> bytes:
        return (self.folder / "runs" / "sixty" / job / "diagnostics.csv").read_bytes()


def catches(process: int, number: int) -> bool:
    """Whether a process has a handler for a signal. Before that, it has not started to work."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    mask = next(line.split()[1] for line in lines if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def measured(content: bytes) -> Mapping[str, Any]:
    """The parts of a record that two runs of one job share."""
    record = json.loads(content)
    return {key: record[key] for key in ("id", "status", "result", "credit", "diagnostics", "network", "seeds", "job")}


@pytest.mark.endurance
def test_ten_kills_of_the_scheduler_and_the_same_command_give_each_record_once(tmp_path: Path) -> None:
    undisturbed = Sweep(tmp_path / "undisturbed", SUITE)
    undisturbed.start().communicate()
    sweep = Sweep(tmp_path / "killed", SUITE, "--checkpoint-every=0s")
    moments = random.Random(seed := random.randrange(10**6))
    seen: dict[str, bytes] = {}
    for done in sorted(moments.choices(range(50), k=10)):  # a number drawn twice means a kill during the start
        run = sweep.start()
        while len(sweep.records()) < done:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 2))
        assert run.poll() is None, f"the sweep ended before ten kills, seed {seed}: {run.communicate()}"
        run.send_signal(signal.SIGKILL)
        run.communicate()
        now = sweep.records()
        assert now.items() >= seen.items(), f"a record was written twice, seed {seed}"
        assert all(json.loads(content)["status"] == "finished" for content in now.values())
        seen = now
    last = sweep.start()
    _, stderr = last.communicate()
    assert (last.returncode, stderr) == (0, "")
    sweep.wait_until_none_is_left()
    found, expected = sweep.records(), undisturbed.records()
    assert len(found) == 60 and found.items() >= seen.items()
    assert found.keys() == expected.keys()
    for name, content in found.items():
        assert measured(content) == measured(expected[name]), (name, seed)
        assert sweep.diagnostics(name) == undisturbed.diagnostics(name), (name, seed)
    assert {path.name for path in sweep.folder.glob("runs/*/*/*")} == FILES
    resumed = sum(json.loads(content)["time"]["resumed"] for content in found.values())
    print(f"seed {seed}: {len(seen)} records before the last run, {resumed} resumptions from a checkpoint")


@pytest.mark.endurance
def test_signals_at_random_moments_stop_the_sweep_cleanly(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "stopped", SUITE, "--checkpoint-every=0s")
    moments = random.Random(seed := random.randrange(10**6))
    for number in (signal.SIGINT, signal.SIGTERM) * 4:
        run = sweep.start()
        while not catches(run.pid, signal.SIGTERM):
            time.sleep(0.01)
        delay = moments.uniform(0, 8)
        time.sleep(delay)
        run.send_signal(number)
        time.sleep(moments.uniform(0, 0.2))
        run.send_signal(number)  # an impatient user's second one
        _, stderr = run.communicate(timeout=60)
        assert run.returncode == 128 + number, (seed, delay, stderr)
        assert stderr.startswith("stopped"), (seed, delay, stderr)
        assert not sweep.processes(), (seed, delay)
        assert not list(sweep.folder.glob("runs/*/*/.*"))
        for content in sweep.records().values():
            assert json.loads(content)["status"] == "finished"
