"""`grape-bench tune` and the run that uses what it found, with real training on real digits."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from grape_bench.cli import tune
from grape_bench.cli.main import cli
from grape_bench.cli.tune import _at_an_edge
from grape_bench.execute.sweep import Request
from grape_bench.plan.find import shipped
from grape_bench.plan.tuned import read_tuned
from grape_bench.record.record import Record
from grape_bench.track.mirror import Mirror
from tests.cli.test_run import SUITE
from tests.score.trials import records_of

TUNING = """
[tuning]
trials = 3
space = { lr = { log = [1e-3, 1.0] } }
"""


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


@pytest.mark.slow
def test_tune_then_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SUITE + TUNING)
    part = call("tune", "small.toml", "--shard", "1/3")
    assert "2 jobs to run" in part.stdout and "merge runs/small/tuning.shard-*" in part.stdout
    assert not (tmp_path / "baselines").exists(), "a part of the trials chooses nothing"
    assert call("merge", "runs/small/tuning.shard-1-of-3").exit_code == 0

    tuned = call("tune", "small.toml")
    assert tuned.exit_code == 0, tuned.stdout + tuned.stderr
    assert "4 jobs to run (2 already done)" in tuned.stdout and "k = 3" in tuned.stdout
    assert all(line.startswith("warning: ") for line in tuned.stderr.splitlines())
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/small/tuning/*/record.json")]
    assert len(records) == 6 and not any("test" in record["result"] for record in records)

    found = json.loads((tmp_path / "baselines/small/dfa.json").read_text())
    choice = found["tasks"]["digits-mlp"]
    assert (found["trials"], found["seeds"]) == (3, [1_000_000, 1_000_001, 1_000_002])
    assert max(trial["validation"] for trial in choice["trials"]) == choice["trials"][choice["trial"]]["validation"]
    curve = list(csv.DictReader((tmp_path / "baselines/small/best_of_k.csv").open()))
    assert [(row["rule"], row["k"]) for row in curve] == [(rule, k) for rule in ("bp", "dfa") for k in "123"]

    again = call("tune", "small.toml", "--only", "dfa")
    assert "all 3 jobs are already done: nothing to run" in again.stdout

    run = call("run", "small.toml", "--tracking-uri", "none")
    assert run.exit_code == 0, run.stderr
    assert run.stdout.startswith("settings: tuned, for each rule the best of 3 trials on validation")
    (dfa,) = (json.loads(path.read_text()) for path in tmp_path.glob("runs/small/*.dfa.*/record.json"))
    assert dfa["job"]["optimizer"]["lr"] == choice["settings"]["lr"] and dfa["job"]["trials"] == 3

    trials = call("report", "runs/small/tuning")
    assert trials.exit_code == 2 and "trials of a search" in trials.stderr


def test_a_rule_whose_trials_crash_gets_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SUITE + TUNING)
    (tmp_path / "bad.py").write_text(
        "import grape_bench as gb\nclass Bad(gb.DirectFeedback):\n"
        "    def signal(self, block, error):\n        raise RuntimeError('no')\n"
    )
    tuned = call("tune", "small.toml", "--rule", "bad.py:Bad", "--only", "Bad", "--only", "bp")
    assert tuned.exit_code == 1
    assert "bad.py:Bad: no settings written" in tuned.stderr and "RuntimeError: no" in tuned.stderr
    assert [path.name for path in tmp_path.glob("baselines/small/*.json")] == ["bp.json"]


@pytest.mark.parametrize("shard", [[], ["--shard", "1/1"]])
def test_trials_that_were_not_copied_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SUITE + TUNING)

    def sweep(request: Request, mirror: Mirror | None) -> list[Record]:
        assert mirror is not None and mirror.uri == "http://mlflow.example:5000", "as in the variable"
        mirror.note, mirror.warning = "a note of the store", "timed out"
        return records_of(request.plan.jobs, best=1)

    monkeypatch.setattr(tune, "sweep", sweep)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    result = call("tune", "small.toml", *shard)
    assert result.exit_code == 0, result.output
    assert "warning: a note of the store\n" in result.stderr
    assert "warning: not every job was copied to the store (timed out); to copy them later: " in result.stderr
    folder = "runs/small/tuning.shard-1-of-1" if shard else "runs/small/tuning"
    assert f"grape-bench sync {folder} --tracking-uri http://mlflow.example:5000\n" in result.stderr


def test_trials_are_copied_nowhere_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "small.toml").write_text(SUITE + TUNING)
    mirrors = []

    def sweep(request: Request, mirror: Mirror | None) -> list[Record]:
        mirrors.append(mirror)
        return records_of(request.plan.jobs, best=1)

    monkeypatch.setattr(tune, "sweep", sweep)
    assert call("tune", "small.toml").exit_code == 0 and mirrors == [None]


def test_a_setting_at_the_edge_of_its_range_is_named_with_a_wider_range() -> None:
    tuned = read_tuned(shipped("baselines") / "quickstart" / "head-only.json")
    at_the_end = {name: choice.model_copy(update={"settings": {"lr": 0.09}}) for name, choice in tuned.tasks.items()}
    first, *others = _at_an_edge([tuned.model_copy(update={"tasks": at_the_end})])
    assert first == (
        "warning: digits-mlp head-only: lr 0.09 (range 0.0001 to 0.1) is at the edge, so a better value may lie beyond"
        " it; to widen it, in [tuning]: space = { lr = { log = [0.0001, 1] } }"
    )
    assert len(others) == len(tuned.tasks) - 1
