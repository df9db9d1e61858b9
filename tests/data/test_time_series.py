"""The files of the UCR and UEA archives."""

from collections.abc import Callable
from pathlib import Path

import pytest

from grape_bench.data import DataSet
from grape_bench.errors import UserError

Load = Callable[..., DataSet]

HEADER = "# a comment\n@problemName Walks\n@classLabel true walking 1.5\n@data\n"


def write(folder: Path, train: str, test: str) -> str:
    for split, text in (("TRAIN", train), ("TEST", test)):
        (folder / f"Walks_{split}.ts").write_text(HEADER + text)
    return f"ts:{folder}"


def test_channels_and_labels(tmp_path: Path, load_on_cpu: Load) -> None:
    lines = "0.0,2.0:5.0,6.0:walking\n2.0,0.0:6.0,5.0:1.5\n" * 10
    data = load_on_cpu(write(tmp_path, lines, "1.0,1.0:5.5,5.5:walking\n"))
    ((series,), _), labels = next(data.test.batches(1))
    assert (data.shape, series.tolist(), labels.tolist()) == ((2, 2), [[[0.0, 0.0], [0.0, 0.0]]], [1])
    assert data.description["class_values"] == ["1.5", "walking"]


def test_a_gap_is_refused_with_its_line(tmp_path: Path, load_on_cpu: Load) -> None:
    name = write(tmp_path, "0.0,2.0:a\n1.0,2.0:b\n" * 10, "0.0,?:a\n")
    with pytest.raises(UserError, match=r"Walks_TEST.ts:5: a value is not a number"):
        load_on_cpu(name)


def test_a_missing_file_is_named(tmp_path: Path, load_on_cpu: Load) -> None:
    (tmp_path / "Walks_TRAIN.ts").write_text(HEADER)
    with pytest.raises(UserError, match=r"0 files are called NAME_TEST.ts"):
        load_on_cpu(f"ts:{tmp_path}")
