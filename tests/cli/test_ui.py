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
