"""Every test runs on one thread, from one seed, and puts the global random state back."""

import gc
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.execute.warm_start import HEAVY, WarmStart

# Read when torch, NumPy and SciPy are imported, also by the processes that tests start. Two tests share the cores, and
# threads that spin while they wait take time from the other test. With one BLAS thread per core, the fit of a head on
# two busy cores takes six times as long.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

multiprocessing.set_forkserver_preload(list(HEAVY))  # for tests that train in two processes


def pytest_collection_finish() -> None:
    """Keep what the test modules imported out of garbage collection. A full one takes a second otherwise."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture(scope="session")
def warm_start() -> Iterator[WarmStart]:
    warm = WarmStart()
    yield warm
    warm.close()


@pytest.fixture(autouse=True)
def _sweeps_start_warm(request: pytest.FixtureRequest, warm_start: WarmStart, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork servers start warm, except in tests marked `cold`, which are about their start and their end."""
    if request.node.get_closest_marker("cold") is None:
        monkeypatch.setattr("grape_bench.execute.pool.start_server", warm_start.start_server)
