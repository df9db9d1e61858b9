"""Series of one or of several lengths."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from grape_bench.data import DataSet
from grape_bench.errors import UserError
from tests.data.tables import write_columns

Load = Callable[..., DataSet]

FIXED = {"series": [[[1.0, 3.0], [0.0, 0.0]], [[5.0, 7.0], [2.0, 2.0]]] * 10, "label": [0, 1] * 10}
RAGGED = {"series": [[1.0, 3.0], [1.0, 3.0, 1.0, 3.0]] * 10, "label": ["a", "b"] * 10}


def test_channels_are_standardized(tmp_path: Path, load_on_cpu: Load) -> None:
    data = load_on_cpu(write_columns(tmp_path, FIXED, validation=FIXED))
    ((series,), named), labels = next(data.test.batches(2))
    assert (data.shape, named, labels.tolist()) == ((2, 2), {}, [0, 1])
    assert series[:, 1].tolist() == [[-1.0, -1.0], [1.0, 1.0]]
    assert series[0, 0].tolist() == pytest.approx([-3 / 5**0.5, -1 / 5**0.5])


def test_padding_is_zero_and_masked(tmp_path: Path, load_on_cpu: Load) -> None:
    data = load_on_cpu(write_columns(tmp_path, RAGGED, validation=RAGGED), pad="mask")
    ((series,), named), _ = next(data.test.batches(2))
    assert series.tolist() == [[[-1, 1, 0, 0]], [[-1, 1, -1, 1]]]
    assert named["mask"].tolist() == [[True, True, False, False], [True] * 4]
    _, named = next(load_on_cpu(f"parquet:{tmp_path}", pad="zero").test.batches(2))[0]
    assert named == {}


def test_a_longer_series_is_cut_and_counted(tmp_path: Path, load_on_cpu: Load) -> None:
    data = load_on_cpu(write_columns(tmp_path, RAGGED), length=2)
    assert (data.shape, data.description["cut_off"]) == ((1, 2), {"train": 10, "test": 10})


def test_a_number_to_predict(tmp_path: Path, load_on_cpu: Load) -> None:
    columns = {"series": FIXED["series"], "target": [0.0, 2.0] * 10}
    data = load_on_cpu(write_columns(tmp_path, columns, validation=columns))
    assert (data.objective, data.target.scale) == ("regression", (1.0,))
    assert torch.cat(list(data.test.targets())).flatten().tolist() == [-1.0, 1.0] * 10


@pytest.mark.parametrize(
    ("series", "said"),
    [
        ([[1.0, 2.0], [1.0]], r"row 1 of test.parquet: the series have several lengths: 1 and 2[\s\S]*pad"),
        ([[1.0, float("nan")]] * 2, r"row 0 of test.parquet: column 'series' holds NaN"),
        ([[1.0, 2.0], [1.0, None]], r"row 1 of test.parquet: column 'series' has a missing number"),
        ([["a", "b"]] * 2, r"row 0 of test.parquet: column 'series' does not hold numbers"),
        ([[[[1.0]]]] * 2, r"row 0 of test.parquet: column 'series' holds lists of 3 levels"),
        ([[1.0, 2.0], None], r"row 1 of test.parquet: column 'series' has no series"),
        ([[[1.0, 2.0]], [[1.0, 2.0], [3.0, 4.0]]], r"row 1 of test.parquet: the series has 2 channels"),
        ([[[1.0, 2.0]], [[1.0, 2.0], [3.0]]], r"row 1 of test.parquet: the channels .* lengths 2, 1"),
    ],
)
def test_bad_series_are_refused(tmp_path: Path, load_on_cpu: Load, series: list, said: str) -> None:
    train = {"series": [[1.0, 2.0], [3.0, 4.0]] * 10, "label": [0, 1] * 10}
    with pytest.raises(UserError, match=said):
        load_on_cpu(write_columns(tmp_path, train, {"series": series, "label": [0, 1]}))
