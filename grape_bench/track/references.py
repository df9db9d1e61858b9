"""Finds a set of runs by its folder, its MLflow experiment, or the name of a recorded table."""

from __future__ import annotations

from pathlib import Path

import grape_bench
from grape_bench.errors import UserError, redacted, unknown
from grape_bench.record.record import RECORD
from grape_bench.track.runs import Runs, read_runs
from grape_bench.track.uri import NONE, TRACKING_URI

MLFLOW = "mlflow:"
SUPERSEDED = "superseded"
"""The folder in `results` of tables that a newer version replaced."""
ALLOWED = "a folder of runs, mlflow:EXPERIMENT, or the name of a recorded table"


def open_runs(reference: str, tracking_uri: str) -> Runs:
    """Return the runs that `reference` names. `tracking_uri` is that of the MLflow store, if it names an experiment.

    Raises UserError if there are no such runs, or if the store is not MLflow's.
    """
    if reference.startswith(MLFLOW):
        return _experiment(reference, tracking_uri)
    if Path(reference).is_dir():
        return read_runs(Path(reference))
    known = recorded()
    if reference not in known:
        raise unknown("set of runs", reference, known, hint=ALLOWED)
    return read_runs(known[reference])


def _experiment(reference: str, uri: str) -> Runs:
    from grape_bench.track.mlflow import MlflowStore, read_experiment
    from grape_bench.track.store import store_class

    if uri == NONE or store_class(uri) is not MlflowStore:
        raise UserError(
            f"an experiment is read from an MLflow store, and the tracking URI is {redacted(uri)}",
            where=reference,
            allowed=f"{TRACKING_URI}, or the address of a tracking server",
            hint=f'--tracking-uri {TRACKING_URI}, or in Python tracking_uri="{TRACKING_URI}"',
        )
    return read_experiment(uri, reference.removeprefix(MLFLOW))


def recorded() -> dict[str, Path]:
    """Return the folders of recorded tables by name.

    Looks in `./results`, `./baselines`, and the same folders of the checkout. A table in `results/SUITE` is called
    SUITE, and a published rule in `results/SUITE/RULE` is called SUITE/RULE. A table that a newer version replaced is
    called SUITE@VERSION.
    """
    root = Path(grape_bench.__file__).parent.parent
    found: dict[str, Path] = {}
    for parent in (Path("results"), Path("baselines"), root / "results", root / "baselines"):
        for folder in (*sorted(parent.glob("*/")), *sorted(parent.glob("*/*/"))):
            if folder.name != "runs" and any((folder / "runs").glob(f"*/{RECORD}")):
                named = folder.parent if folder.parent.name == SUPERSEDED else parent
                found.setdefault(folder.relative_to(named).as_posix(), folder)
    return found
