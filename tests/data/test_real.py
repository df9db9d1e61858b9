"""The real MNIST and CIFAR-10, where there is a copy of them."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from grape_bench.data import DataSet

ROOT = os.environ.get("GRAPE_BENCH_DATA", "")


@pytest.fixture(params=["mnist", "cifar10"])
def name(request: pytest.FixtureRequest) -> str:
    if not (Path(ROOT) / request.param / "train.parquet").is_file() or not ROOT:
        pytest.skip(f"$GRAPE_BENCH_DATA has no {request.param}")
    return str(request.param)


def test_sizes_statistics_and_a_fast_second_load(name: str, load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu(name)
    sizes = data.description["sizes"]
    assert sizes["train"] + sizes["validation"] == {"mnist": 60_000, "cifar10": 50_000}[name]
    assert sizes["test"] == 10_000
    expected = {"mnist": [0.1307], "cifar10": [0.4913, 0.4821, 0.4465]}[name]
    assert [mean / 255 for mean in data.description["mean"]] == pytest.approx(expected, abs=1e-3)
    labels = torch.cat([labels for _, labels in data.test.batches(1000)])
    first = {"mnist": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009], "cifar10": [1000] * 10}[name]
    assert torch.bincount(labels).tolist() == first
    start = time.perf_counter()
    again = load_on_cpu(name)
    assert time.perf_counter() - start < 2.0
    assert again.description == data.description
