import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from grape_bench.data import DataSet, load


@pytest.fixture(autouse=True)
def own_caches(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or leaves anything in the caches of the person who runs it."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("GRAPE_BENCH_CACHE", str(folder))
    # `datasets` reads the variable when it is imported. A machine without `datasets` runs most of these tests too.
    monkeypatch.setenv("HF_DATASETS_CACHE", str(folder / "hugging_face"))
    if "datasets" in sys.modules:
        monkeypatch.setattr(sys.modules["datasets"].config, "HF_DATASETS_CACHE", folder / "hugging_face")
    return folder


@pytest.fixture
def load_on_cpu() -> Callable[..., DataSet]:
    def load_it(dataset_id: str, **args: Any) -> DataSet:
        return load(dataset_id, args=args, device=torch.device("cpu"))

    return load_it
