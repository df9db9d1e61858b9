"""`grape-bench doctor`: a finding for each part of the machine, and what to type where something is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from grape_bench.cli import doctor
from grape_bench.cli.main import cli


def found(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, dict[str, str]]:
    for name in ("GRAPE_BENCH_DATA", "GRAPE_BENCH_CACHE"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(cli, ["doctor", "--json"], env=environment, catch_exceptions=False)
    assert result.exit_code == 0
    return {one["name"]: one for one in json.loads(result.stdout)}


def test_versions_devices_and_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    lines = found(monkeypatch, GRAPE_BENCH_DATA=str(tmp_path), GRAPE_BENCH_CACHE=str(tmp_path / "cache"))
    assert lines["torch"]["state"] == torch.__version__.partition("+")[0] or lines["torch"]["ok"]
    assert "cores" in lines["cpu"]["state"] and "GiB" in lines["memory"]["state"]
    assert str(tmp_path / "cache") in lines["cache"]["state"] and "made when needed" in lines["cache"]["state"]
    assert lines["here"]["ok"] and lines["here"]["state"] == "mnist"


def test_what_is_missing_says_what_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doctor, "_installed", lambda name: name != "submitit")
    monkeypatch.setattr("grape_bench.publish.sandbox.missing", lambda: "bubblewrap is not installed")
    lines = found(monkeypatch)
    assert lines["data"]["fix"] == "export GRAPE_BENCH_DATA=DIR"
    assert "cifar10" in lines["Hub"]["state"] and lines["Hub"]["fix"] == "grape-bench data prepare NAME"
    assert "cora" in lines["missing"]["state"] and "$GRAPE_BENCH_DATA/NAME" in lines["missing"]["fix"]
    assert lines["bubblewrap"]["fix"] == "apt install bubblewrap" and not lines["git"]["ok"]
    assert lines["slurm"]["fix"] == "pip install 'grape-bench[slurm]'" and lines["ray"]["ok"]


def test_a_folder_that_does_not_exist_and_one_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: str(path) != str(tmp_path))
    lines = found(monkeypatch, GRAPE_BENCH_DATA=str(tmp_path / "no"), GRAPE_BENCH_CACHE=str(tmp_path / "cache"))
    assert lines["data"]["fix"] == f"mkdir -p {tmp_path / 'no'}"
    assert not lines["cache"]["ok"] and "$GRAPE_BENCH_CACHE" in lines["cache"]["fix"]


def test_the_lines_are_grouped_and_fit_a_terminal() -> None:
    output = CliRunner().invoke(cli, ["doctor"], catch_exceptions=False).stdout
    topics = [line for line in output.splitlines() if not line.startswith(" ")]
    assert topics == ["versions", "extras", "devices", "folders", "data sets", "tools"]
