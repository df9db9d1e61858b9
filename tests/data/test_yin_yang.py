import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from grape_bench.data import DataSet
from grape_bench.data.yin_yang import class_of, generate

PUBLISHED = Path(os.environ.get("GRAPE_BENCH_DATA", "")) / "yin_yang"


def test_sizes_and_classes(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("yin_yang")
    assert data.description["sizes"] == {"train": 5000, "validation": 1000, "test": 1000}
    assert torch.bincount(next(iter(data.train.targets()))).tolist() == [1681, 1702, 1617]


def test_a_point_of_each_class() -> None:
    assert [class_of(0.75, 0.5), class_of(0.25, 0.5), class_of(0.5, 0.9), class_of(0.5, 0.1)] == [2, 2, 1, 0]


@pytest.mark.skipif(not (PUBLISHED / "train.parquet").is_file(), reason="$GRAPE_BENCH_DATA has no yin_yang")
@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_the_points_are_those_of_the_authors(part: str) -> None:
    table = pq.read_table(PUBLISHED / f"{part}.parquet")
    points = generate()[part]
    assert np.array_equal(points.inputs[0].numpy(), np.array(table.column("features").to_pylist(), dtype=np.float32))
    assert points.target.tolist() == table.column("label").to_pylist()
