"""Every test runs on one thread, from one seed, and puts the global random state back."""

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.execute.warm_start import HEAVY, WarmStart

# Read when torch, NumPy and SciPy are imported, also by the processes that tests start. Two tests share the cores, and
# threads that spin while they wait take time from the other test. With one BLAS thread per core, the fit of a head on
# two busy cores takes six times as long.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # a pool of compilers would take 40 seconds to start

multiprocessing.set_forkserver_preload(list(HEAVY))  # for tests that train in two processes


def pytest_collection_finish() -> None:
    """Keep what test modules import out of garbage collection, and collect less often, which saves a tenth."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


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


@pytest.fixture(scope="session", autouse=True)
def start_cold() -> Iterator[Callable[..., Any]]:
    """Fork servers start warm, also those of fixtures that are made once per module. Yields what starts them cold."""
    from grape_bench.execute import pool

    start_server, warm = pool.start_server, WarmStart()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "start_server", warm.start_server)
        yield start_server
    warm.close()


@pytest.fixture(autouse=True)
def _cold_if_marked(
    request: pytest.FixtureRequest, start_cold: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests marked `cold` are about the start and the end of fork servers."""
    if request.node.get_closest_marker("cold"):
        monkeypatch.setattr("grape_bench.execute.pool.start_server", start_cold)
