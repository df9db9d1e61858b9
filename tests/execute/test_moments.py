"""Each part of a sweep is killed at ten moments, also while the MLflow database is new. The same command repairs it.

Then the records are those of an undisturbed sweep, and MLflow has one finished run for each. CI runs the first moment
of each part.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.execute.test_kills import FILES, Sweep, measured

SUITE = """\
name = "twelve"
version = "1.0"
rules = ["bp", "fa", "dfa", "grape"]
seeds = 3
[[task]]
name = "digits-mlp"
model = "mlp"
model_args = { hidden = [64, 64] }
dataset = "digits"
epochs = 20
batch_size = 32
optimizer = { name = "adamw", lr = 1e-3 }
"""
MOMENTS = range(10)
ONE_WORKER = pytest.mark.xdist_group("moments")  # they share an undisturbed sweep
STORE = "sqlite:///mlflow.db"


@dataclass(frozen=True)
class Undisturbed:
    """A sweep that nobody kills, and the seconds that it took."""

    sweep: Sweep
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    sweep = Sweep(tmp_path_factory.mktemp("sweeps") / "undisturbed", SUITE)
    start = time.monotonic()
    sweep.start().communicate()
    return Undisturbed(sweep, time.monotonic() - start)


def children(process: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, path.read_text().split())
    return found


def server(run: subprocess.Popen[str]) -> Iterator[int]:
    """The fork server of a run, if it has one by now."""
    for process in children(run.pid):
        with suppress(OSError):
            if b"forkserver" in Path(f"/proc/{process}/cmdline").read_bytes():
                yield process


def scheduler(run: subprocess.Popen[str], folder: Path) -> int | None:
    return run.pid


def fork_server(run: subprocess.Popen[str], folder: Path) -> int | None:
    return next(server(run), None)


def worker(run: subprocess.Popen[str], folder: Path) -> int | None:
    """A process that runs a job, if there is one now."""
    if not list(folder.glob("runs/*/*/stderr.txt")):
        return None  # what the server has forked so far is the check before the run
    return next((child for process in server(run) for child in children(process)), None)


def mirror(run: subprocess.Popen[str], folder: Path) -> int | None:
    """The scheduler, whose thread is the mirror, once it has begun on the database."""
    return run.pid if list(folder.glob(".*mlflow.db*")) else None


VICTIMS: dict[str, Callable[[subprocess.Popen[str], Path], int | None]] = {
    "scheduler": scheduler,
    "server": fork_server,
    "worker": worker,
    "mirror": mirror,
}


def cases() -> Iterator[object]:
    for victim in VICTIMS:
        for moment in MOMENTS:
            marks = [pytest.mark.endurance, ONE_WORKER, *([pytest.mark.slow] if moment == 0 else [])]
            yield pytest.param(victim, moment, marks=marks, id=f"{victim}-{moment}")


@pytest.mark.parametrize(("victim", "moment"), list(cases()))
def test_the_same_command_repairs_what_a_kill_leaves(
    victim: str, moment: int, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    sweep = Sweep(tmp_path / "killed", SUITE, "--checkpoint-every=0s", f"--tracking-uri={STORE}")
    delay = undisturbed.seconds * random.Random(f"{victim} {moment}").uniform(moment, moment + 1) / len(MOMENTS)
    run = sweep.start()
    found = None
    while run.poll() is None and not (found := VICTIMS[victim](run, sweep.folder)):
        time.sleep(0.005)
    # The scheduler may be killed while it starts; the others when they have begun.
    time.sleep(delay if victim in ("scheduler", "mirror") else delay / 2)
    found = VICTIMS[victim](run, sweep.folder) or found
    if found:
        with suppress(ProcessLookupError):
            os.kill(found, signal.SIGKILL)
    run.communicate(timeout=120)
    sweep.wait_until_none_is_left()
    for _ in range(2):  # the first repetition copies what the mirror lacks, the second finds nothing to do
        last = sweep.start()
        printed = last.communicate(timeout=240)
        assert last.returncode == 0, printed
        assert "warning: not every job was copied" not in printed[1], printed
    sweep.wait_until_none_is_left()
    compare(sweep, undisturbed.sweep)
    check_store(sweep)


def compare(sweep: Sweep, undisturbed: Sweep) -> None:
    found, expected = sweep.records(), undisturbed.records()
    assert found.keys() == expected.keys() and len(found) == 12
    for name, content in found.items():
        assert measured(content) == measured(expected[name]), name
    assert {path.name for path in sweep.folder.glob("runs/*/*/*")} == FILES


def check_store(sweep: Sweep) -> None:
    """One finished run for each job, below a cell of its rule, below one sweep."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{sweep.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("grape_bench/twelve@1.0")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    levels = [run.data.tags["grape.level"] for run in runs]
    assert {level: levels.count(level) for level in set(levels)} == {"job": 12, "cell": 4, "sweep": 1}
    assert {run.info.status for run in runs} == {"FINISHED"}
    jobs = [run.info.run_name for run in runs if run.data.tags["grape.level"] == "job"]
    assert sorted(jobs) == sorted(sweep.records())
    left = {path.name for path in sweep.folder.glob("*mlflow.db*")} | {path.name for path in sweep.folder.glob(".*")}
    assert left - {".mlflow.db.lock"} <= {"mlflow.db"}
