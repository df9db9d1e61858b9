from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from grape_bench.cli.main import cli


def test_a_missing_store_is_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["ui"])
    assert (
        result.exit_code == 2 and "no MLflow store at this path" in result.stderr and "Traceback" not in result.output
    )


def test_a_tracking_server_has_its_own_ui(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["ui", "--tracking-uri", "http://127.0.0.1:1"])
    assert result.exit_code == 2 and "open that address" in result.stderr


def test_a_database_with_options_of_its_connection(new_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    for variable in ("MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"):
        monkeypatch.setenv(variable, "true")  # the command sets them where they are missing
    monkeypatch.setattr(os, "execv", lambda program, arguments: started.append(arguments))
    uri = f"sqlite:///{new_database}?timeout=60"
    result = CliRunner().invoke(cli, ["ui", "--tracking-uri", uri])
    assert result.exit_code == 0, result.stderr
    assert started[0][started[0].index("--backend-store-uri") + 1] == uri


@pytest.mark.parametrize("uri", ["none", "tensorboard:logs"])
def test_a_store_that_is_not_mlflows_has_no_pages_here(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "execv", lambda program, arguments: pytest.fail("MLflow was started"))
    result = CliRunner().invoke(cli, ["ui", "--tracking-uri", uri])
    assert result.exit_code == 2 and f"{uri}: this is not an MLflow store" in result.stderr


@pytest.mark.slow
def test_it_serves_the_records(tmp_path: Path) -> None:
    from grape_bench.track.mlflow import connect

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client, _ = connect(uri)
    client.create_experiment("grape_bench/quickstart@1.0")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "grape_bench", "ui", "--tracking-uri", uri, "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, text=True, start_new_session=True)
    try:
        assert "MLflow" in answer(f"http://127.0.0.1:{port}/", server)
        os.killpg(server.pid, signal.SIGINT)  # what Ctrl-C does
        server.wait(120)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)


def answer(url: str, server: subprocess.Popen[str]) -> str:
    give_up = time.monotonic() + 120
    while True:
        assert server.poll() is None and time.monotonic() < give_up
        try:
            with urllib.request.urlopen(url, timeout=5) as page:
                return str(page.read(2000), "utf-8")
        except OSError:
            time.sleep(0.5)
