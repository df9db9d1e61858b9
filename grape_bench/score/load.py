"""Recorded runs as a table, in one call."""

from __future__ import annotations

from os import PathLike, fspath

import pandas as pd

from grape_bench.score.table import score
from grape_bench.track.references import open_runs
from grape_bench.track.uri import tracking_uri as default_uri


def load(where: str | PathLike[str], tracking_uri: str | None = None) -> pd.DataFrame:
    """Return the table of `where`: a folder of runs, the name of a recorded table, or `mlflow:EXPERIMENT`.

    One row per task and rule, with the columns of table.csv (docs/reports.md). `tracking_uri` is that of the MLflow
    store: by default `MLFLOW_TRACKING_URI`, or else mlflow.db in the working folder. Raises UserError if there are no
    such runs.

        gb.load("quickstart")        # results/quickstart, without running anything
        gb.load("quickstart@1.1")    # an earlier version of it
        gb.load("runs/quickstart")   # your own runs
    """
    return score(open_runs(fspath(where), tracking_uri or default_uri()).records)
