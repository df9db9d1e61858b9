"""Which files belong to which split."""

import logging
from pathlib import Path

import pytest

from grape_bench.data.files import split_files
from grape_bench.errors import UserError


def folder(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(root: Path) -> dict[str, list[str]]:
    files = split_files(root, "parquet", where="mine")
    return {split: [str(path.relative_to(root)) for path in paths] for split, paths in files.items()}


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev"])
def test_every_usual_name_of_the_validation_split(tmp_path: Path, name: str) -> None:
    folder(tmp_path, "train.parquet", "test.parquet", f"{name}.parquet")
    assert found(tmp_path)["validation"] == [f"{name}.parquet"]


def test_parts_and_folders(tmp_path: Path) -> None:
    folder(tmp_path, "train-1.parquet", "train-0.parquet", "eval/a.parquet")
    assert found(tmp_path) == {"train": ["train-0.parquet", "train-1.parquet"], "test": ["eval/a.parquet"]}


@pytest.mark.parametrize("second", ["dev.parquet", "val-0.parquet", "validation/0.parquet"])
def test_two_names_for_one_split_are_refused(tmp_path: Path, second: str) -> None:
    folder(tmp_path, "train.parquet", "val.parquet", second)
    with pytest.raises(UserError, match="the validation split could be"):
        found(tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder(tmp_path, "train-00000-of-00003.parquet", "train-00002-of-00003.parquet")
    with pytest.raises(UserError, match=r"mine, train split: files are missing: train-00001-of-00003.parquet"):
        found(tmp_path)


def test_shards_of_two_sets_are_refused(tmp_path: Path) -> None:
    folder(tmp_path, "train-0-of-2.parquet", "train-1-of-3.parquet")
    with pytest.raises(UserError, match="sets of 2 and 3 files"):
        found(tmp_path)


def test_a_file_of_no_split_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder(tmp_path, "train.parquet", "train_2.parquet")
    with caplog.at_level(logging.WARNING):
        found(tmp_path)
    assert "not read, because they name no split: train_2.parquet" in caplog.text


def test_names_with_the_signs_of_patterns(tmp_path: Path) -> None:
    assert found(folder(tmp_path / "a[1] *?", "train.parquet")) == {"train": ["train.parquet"]}
