"""Download from the Hub, run offline while the MLflow server is down, and sync later, as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_run import SUITE
from tests.data.hub_server import hub
from tests.data.sources import write_folder
from tests.track.mlflow_server import free_port, mlflow_server

pytestmark = pytest.mark.slow
OFFLINE = [sys.executable, str(Path(__file__).parent / "offline" / "launch.py")]
STRAY = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
CALL = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("GRAPE_BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GRAPE_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("OFFLINE_ATTEMPTS", str(tmp_path / "attempts"))
    (tmp_path / "small.toml").write_text(SUITE.replace('"digits"', '"mnist"'))
    return tmp_path


def typed(folder: Path, *arguments: str, before: list[str] | None = None, **more: str) -> Any:
    command = [*(before or []), sys.executable, "-m", "grape_bench", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, env={**os.environ, **more})


def found(address: str, query: str) -> list[dict[str, Any]]:
    """What the search box of MLflow's UI finds: the request that the page sends."""
    experiments = _post(address, "experiments/search", {"max_results": 10})["experiments"]
    ids = [one["experiment_id"] for one in experiments if one["name"] == "grape_bench/small@1.0"]
    return list(_post(address, "runs/search", {"experiment_ids": ids, "filter": query}).get("runs", []))


def _post(address: str, what: str, content: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(
        f"{address}/ajax-api/2.0/mlflow/{what}", json.dumps(content).encode(), headers, method="POST"
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def values(run: dict[str, Any], kind: str) -> dict[str, Any]:
    return {entry["key"]: entry["value"] for entry in run["data"].get(kind, [])}


def test_prepared_online_run_offline_and_synced_later(folder: Path) -> None:
    write_folder(folder / "hub" / "ylecun" / "mnist", size=(8, 8), train=300, test=60)
    with hub(folder / "hub") as address:
        prepared = typed(folder, "data", "prepare", "mnist", HF_ENDPOINT=address)
    assert prepared.returncode == 0, prepared.stderr
    assert prepared.stdout == f"{folder}/data/mnist: train 300, test 60\n"

    attempts = folder / "attempts"
    subprocess.run([*OFFLINE, sys.executable, "-c", STRAY, CALL], capture_output=True)
    assert "192.0.2.1" in attempts.read_text(), "the guard sees what a process's child does"
    attempts.unlink()

    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    ran = typed(folder, "run", "small.toml", "--tracking-uri", uri, before=OFFLINE)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not attempts.exists(), attempts.read_text()
    sync = f"grape-bench sync runs/small --tracking-uri {uri}"
    missed = "warning: not every job was copied to the store (Connection refused)"
    assert ran.stderr == f"{missed}; to copy them later: {sync}\n"
    records = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("runs/small/*/record.json")}
    assert [record["status"] for record in records.values()] == ["finished"] * 2

    down = typed(folder, "sync", "runs/small", "--tracking-uri", uri)
    assert down.returncode == 2
    assert "run the same command to resume" in down.stderr and "Traceback" not in down.stderr

    with mlflow_server(folder / "server", port):
        first = typed(folder, "sync", "runs/small", "--tracking-uri", uri)
        assert first.returncode == 0, first.stderr
        assert f"2 jobs copied, 0 already there ({uri})" in first.stdout
        again = typed(folder, "sync", "runs/small", "--tracking-uri", uri)
        assert "0 jobs copied, 2 already there" in again.stdout
        check_mirror(uri, records)


def check_mirror(uri: str, records: dict[str, dict[str, Any]]) -> None:
    """Experiment, nesting, tags, metrics and artifacts, through the API and through the UI's search."""
    from mlflow import MlflowClient

    (root,) = found(uri, "tags.`grape.level` = 'sweep'")
    cells = found(uri, "tags.`grape.level` = 'cell'")
    jobs = found(uri, "tags.`grape.level` = 'job' and tags.`grape.status` = 'finished'")
    assert {values(cell, "tags")["mlflow.parentRunId"] for cell in cells} == {root["info"]["run_id"]}
    parents = {cell["info"]["run_id"]: values(cell, "tags")["grape.rule"] for cell in cells}
    assert len(jobs) == len(cells) == 2
    client = MlflowClient(uri)
    for job in jobs:
        tags, record = values(job, "tags"), records[job["info"]["run_name"]]
        assert parents[tags["mlflow.parentRunId"]] == tags["grape.rule"] == record["rule"]
        assert tags["grape.job_id"] == record["id"]
        assert tags["hw.class"] == record["environment"]["hardware"]["class"]
        assert values(job, "params")["dataset"] == "mnist"
        assert values(job, "metrics")["result.test"] == pytest.approx(record["result"]["test"])
        (point,) = client.get_metric_history(job["info"]["run_id"], "train_loss")
        assert (point.step, point.value) == (record["time"]["samples"], pytest.approx(record["result"]["train_loss"]))
        files = {file.path for file in client.list_artifacts(job["info"]["run_id"])}
        assert files == {"record.json", "curve.csv", "diagnostics.csv", "stderr.txt"}
    best = max(record["result"]["validation"] for record in records.values())
    assert [run["info"]["run_name"] for run in found(uri, f"metrics.`result.validation` >= {best - 1e-6}")] == [
        name for name, record in records.items() if record["result"]["validation"] == best
    ]
    assert len(found(uri, "tags.`grape.rule` = 'dfa' and params.`optimizer.lr` = '0.1'")) == 1
