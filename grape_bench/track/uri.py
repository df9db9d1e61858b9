"""The URI of the store that records are copied to and read from: MLflow's variable, its default, and no store."""

from __future__ import annotations

import os

VARIABLE = "MLFLOW_TRACKING_URI"
TRACKING_URI = "sqlite:///mlflow.db"
NONE = "none"
"""The URI of no store."""


def tracking_uri() -> str:
    """The URI that MLflow's own variable names, or else the database in the working folder."""
    return os.environ.get(VARIABLE) or TRACKING_URI
