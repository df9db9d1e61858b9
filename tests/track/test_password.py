"""A tracking server with a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from grape_bench.track.mirror import Mirror
from grape_bench.track.mlflow import MlflowStore, read_experiment
from grape_bench.track.store import Sweep
from tests.track.mlflow_server import free_port, mlflow_server
from tests.track.records import on_disk, record

pytestmark = pytest.mark.slow
PASSWORD = "a long password 1"


def test_records_reach_a_server_only_with_its_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("flask_wtf", reason="MLflow's basic-auth needs it")
    sweep = Sweep("small", "1.0", "abc", tmp_path / "runs")
    written = on_disk(sweep.folder, record())
    with mlflow_server(tmp_path / "server", free_port(), password=PASSWORD) as address:

        def copied() -> str:
            mirror = Mirror(address, MlflowStore)
            mirror.open(sweep)
            mirror.add(written)
            mirror.close(complete=True, patience_s=60)
            return mirror.warning

        assert "401" in copied()
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
        assert copied() == ""
        assert [found.id for found in read_experiment(address, "small@1.0").records] == [written.id]
