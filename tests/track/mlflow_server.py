"""A real `mlflow server` on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def mlflow_server(folder: Path, port: int, *, password: str = "") -> Iterator[str]:
    """Serve a store in `folder` until the end of the block; the address.

    With a `password`, only the user `admin` may read and write.
    """
    folder.mkdir()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        f"{folder}/artifacts",
    ]
    alone = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # start no job workers
    if password:
        command += ["--app-name", "basic-auth"]
        settings = {
            "default_permission": "NO_PERMISSIONS",
            "database_uri": f"sqlite:///{folder}/users.db",
            "admin_username": "admin",
            "admin_password": password,
            "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
        }
        lines = ["[mlflow]", *(f"{key} = {value}" for key, value in settings.items()), ""]
        (folder / "auth.ini").write_text("\n".join(lines))
        alone |= {"MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"), "MLFLOW_FLASK_SERVER_SECRET_KEY": "a secret"}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **alone}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait(f"http://127.0.0.1:{port}/health", server, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # the server and what it has started
        server.wait()


def _wait(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if server.poll() is not None:
                break
            time.sleep(0.2)
    raise RuntimeError(f"mlflow server did not start:\n{log.read_text()[-4000:]}")
