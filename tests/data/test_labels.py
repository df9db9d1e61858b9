"""Labels of every kind become class numbers, and no file is read less carefully than the first."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from grape_bench.data import DataSet
from grape_bench.data.labels import read_labels
from grape_bench.data.parquet import tables
from grape_bench.errors import UserError
from tests.data.sources import random_images, write_split

Load = Callable[..., DataSet]


def write(
    folder: Path, values: list[Any], file: str = "train", names: list[str] | None = None, kind: Any = None
) -> None:
    """Write a file with the column `label`, with class names as `datasets` writes them."""
    table = pa.table({"label": pa.array(values, kind)})
    if names:
        feature = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(feature)})
    pq.write_table(table, folder / f"{file}.parquet")


def read(folder: Path) -> tuple[dict[str, list[int]], int]:
    found = read_labels("mine", tables(folder, where="mine"), "label")
    return {split: labels.tolist() for split, labels in found.of.items()}, found.classes


@pytest.mark.parametrize(
    ("values", "expected", "classes"),
    [
        ([0, 2, 1], [0, 2, 1], 3),
        ([1, 3, 2], [0, 2, 1], 3),
        ([0, 999, 0], [0, 1, 0], 2),
        ([0, 10**10, 0], [0, 1, 0], 2),
        ([-1, 1, 1], [0, 1, 1], 2),
        ([True, False, True], [1, 0, 1], 2),
        (["dog", "cat", "owl"], [1, 0, 2], 3),
    ],
)
def test_labels_are_numbered_in_order(tmp_path: Path, values: list[Any], expected: list[int], classes: int) -> None:
    write(tmp_path, values)
    assert read(tmp_path) == ({"train": expected}, classes)


def test_numbering_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, [1, 2])
    with caplog.at_level(logging.WARNING):
        read(tmp_path)
    assert "mine: the labels in column 'label' were numbered: 1 is class 0, 2 is class 1" in caplog.text
    caplog.clear()
    write(tmp_path, [0, 1])
    read(tmp_path)
    assert caplog.text == ""


def test_strings_that_pandas_stored_as_categories(tmp_path: Path) -> None:
    write(tmp_path, ["b", "a", "b"], kind=pa.dictionary(pa.int32(), pa.string()))
    assert read(tmp_path) == ({"train": [1, 0, 1]}, 2)


def test_a_class_number_that_only_test_has_still_counts(tmp_path: Path) -> None:
    write(tmp_path, [0, 2])
    write(tmp_path, [1], "test")
    assert read(tmp_path) == ({"train": [0, 2], "test": [1]}, 3)


def test_class_names_in_another_order_are_read_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, [0, 1, 1], "train-0", names=["cat", "dog"])
    write(tmp_path, [0, 1, 1], "train-1", names=["dog", "cat"])
    write(tmp_path, [0, 1, -1], "test", names=["dog", "cat"])
    assert read(tmp_path) == ({"train": [0, 1, 1, 1, 0, 0], "test": [1, 0, -1]}, 2)
    assert "mine, test split, test.parquet: its class names have another order" in caplog.text
    assert "train-0.parquet" not in caplog.text
    write(tmp_path, [0, 1], "test", names=["dog", "wolf"])
    with pytest.raises(UserError, match=r"test split: the class name 'wolf' is not in the first file[\s\S]*cat, dog"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.5, 1.9], "train-1.parquet: column 'label' has type double"),
        (["7", "8"], "train-1.parquet: the labels are strings, but those of .*train-0.parquet are whole numbers"),
        ([True, False], "train-1.parquet: the labels are booleans"),
        ([0, None], "row 1 of train-1.parquet: rows without a label: 1"),
    ],
)
def test_a_later_file_with_labels_of_another_kind_is_refused(tmp_path: Path, values: list[Any], said: str) -> None:
    write(tmp_path, [0, 1], "train-0")
    write(tmp_path, values, "train-1")
    with pytest.raises(UserError, match=said):
        read(tmp_path)


def test_a_label_that_train_does_not_have_is_refused_with_its_row(tmp_path: Path) -> None:
    write(tmp_path, ["cat", "dog"])
    write(tmp_path, ["cat", "cow"], "test")
    with pytest.raises(UserError, match=r"row 1 of test.parquet: no training sample has .* 'cow'[\s\S]*cat, dog"):
        read(tmp_path)


def test_a_number_beyond_63_bits_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [0, 2**63], kind=pa.uint64())
    with pytest.raises(UserError, match="a label is too large"):
        read(tmp_path)


def test_a_split_without_a_class_is_named(tmp_path: Path, load_on_cpu: Load, caplog: pytest.LogCaptureFixture) -> None:
    write_split(tmp_path, "train", random_images(40, (8, 8)), [0, 1] * 20)
    write_split(tmp_path, "test", random_images(3, (8, 8)), [1] * 3)
    with caplog.at_level(logging.WARNING):
        data = load_on_cpu(f"parquet:{tmp_path}")
    assert "1 classes have no sample in the test split: 0" in caplog.text
    assert data.description["missing_classes"] == {"test": [0]}


def test_numbered_labels_reach_the_batches_and_the_record(tmp_path: Path, load_on_cpu: Load) -> None:
    write_split(tmp_path, "train", random_images(40, (8, 8)), [5, 9] * 20)
    write_split(tmp_path, "test", random_images(4, (8, 8)), [9, 5, 5, 9])
    data = load_on_cpu(f"parquet:{tmp_path}")
    assert torch.cat([labels for _, labels in data.test.batches(4)]).tolist() == [1, 0, 0, 1]
    assert (data.classes, data.description["class_values"]) == (2, [5, 9])
