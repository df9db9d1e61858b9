"""Every test runs on one thread, from one seed, and puts the global random state back."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _one_thread_one_seed():
    import torch

    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new MLflow database, made once, since MLflow needs seconds for it."""
    from grape_bench.track import database

    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    database.prepare(path)
    return path
