"""`grape-bench ui`: open MLflow's user interface on the mirrored records."""

from __future__ import annotations

import os
import sys

import click

from grape_bench.cli.say import say
from grape_bench.cli.tracking import tracking


@click.command("ui")
@tracking("MLflow store.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5000, show_default=True, type=click.IntRange(1, 65535))
def command(tracking_uri: str, host: str, port: int) -> None:
    """Open MLflow's UI on the records. Press Ctrl-C to stop it. A tracking server has a UI at its own address."""
    from grape_bench.errors import UserError
    from grape_bench.track.database import damage, database_of
    from grape_bench.track.mlflow import MlflowStore
    from grape_bench.track.store import store_class
    from grape_bench.track.uri import NONE

    if tracking_uri == NONE or store_class(tracking_uri) is not MlflowStore:
        hint = "--tracking-uri sqlite:///mlflow.db; TensorBoard's own UI: tensorboard --logdir DIR"
        raise UserError("this is not an MLflow store", where=tracking_uri, hint=hint)
    if tracking_uri.startswith(("http://", "https://")):
        raise UserError("this store is a server with its own UI", where=tracking_uri, hint="open that address")
    database = database_of(tracking_uri)
    if database and not database.is_file():
        hint = "grape-bench run quickstart makes one; or --tracking-uri URI"
        raise UserError("no MLflow store at this path", where=str(database), hint=hint)
    if database and (why := damage(database)):
        hint = "grape-bench sync runs/*, which sets it aside and copies all records again"
        raise UserError(f"this database is damaged: {why}", where=str(database), hint=hint)
    say(f"MLflow on http://{host}:{port} (experiments grape_bench/SUITE@VERSION)")
    sys.stdout.flush()
    arguments = ["ui", "--backend-store-uri", tracking_uri, "--host", host, "--port", str(port), "--workers", "1"]
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Without this, MLflow starts eight more processes for language-model jobs, and they outlive it for a while.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    # The server replaces this process, so that Ctrl-C and signals reach it and nothing keeps running.
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", *arguments])
