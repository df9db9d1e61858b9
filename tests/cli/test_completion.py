"""The shell completes suites, rules, runs and their folders, as docs/harness.md sets it up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from grape_bench.cli.main import cli

VARIABLE = "_GRAPE_BENCH_COMPLETE"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two runs of `quickstart`."""
    for name in ("digits-mlp.bp.s0.0123", "digits-mlp.dfa.s0.4567"):
        (tmp_path / "runs/quickstart" / name).mkdir(parents=True)
        (tmp_path / "runs/quickstart" / name / "record.json").write_text("{}")
    (tmp_path / "runs/quickstart/manifest.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def completed(*typed: str) -> list[str]:
    """What bash gets for the last word."""
    complete = BashComplete(cli, {}, "grape-bench", VARIABLE)
    return [item.value for item in complete.get_completions(list(typed[:-1]), typed[-1]) if item.type == "plain"]


def test_suites(folder: Path) -> None:
    assert completed("run", "quick") == ["quickstart"]
    assert {"quickstart", "vision-small"} <= set(completed("plan", ""))
    assert completed("compare", "bp", "--suite", "wal") == ["walk-back"]


def test_rules_with_and_without_anchors(folder: Path) -> None:
    assert completed("run", "quickstart", "--rule", "drt") == ["drtp", "drtp+anchor", "drtp+finish"]
    assert "grape+refit" in completed("run", "quickstart", "--only", "grape")
    assert completed("profile", "--rule", "pep")[0] == completed("blocks", "mlp", "--rule", "pep")[0] == "pepita"
    assert completed("publish", "runs/quickstart", "--rule", "pep")[0] == "pepita"
    assert completed("check", "pep")[0] == "pepita" and completed("list", "rules", "pep") == ["pepita"]


def test_runs_and_their_folders(folder: Path) -> None:
    assert completed("report", "runs/q") == ["runs/quickstart"]
    assert completed("show", "digits-mlp.d") == ["digits-mlp.dfa.s0.4567"]
    assert completed("show", "--out", "elsewhere", "digits") == []


def test_names_of_models_and_data_sets(folder: Path) -> None:
    assert "timm:resnet18" in completed("list", "models", "timm:resnet1")
    assert completed("list", "datasets", "cifar") == ["cifar10", "cifar100"]


def test_a_path_falls_back_to_files(folder: Path) -> None:
    items = BashComplete(cli, {}, "grape-bench", VARIABLE).get_completions(["run", "quickstart", "--rule"], "my_rule")
    assert [item.type for item in items] == ["file"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_comes_from_the_command_itself(shell: str) -> None:
    environment = os.environ | {VARIABLE: f"{shell}_source", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "grape_bench"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert VARIABLE in done.stdout and "grape-bench" in done.stdout, done.stderr
