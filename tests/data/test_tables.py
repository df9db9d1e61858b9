"""Splits, columns and features of tables."""

import json
import logging

import pyarrow as pa
import pytest

from grape_bench.data.tables import class_names, standard_splits


def test_splits_are_renamed() -> None:
    found = standard_splits({"training": 1, "dev": 2, "eval": 3}, where="mine")
    assert found == {"train": 1, "validation": 2, "test": 3}


@pytest.mark.parametrize("splits", [{"train": 1, "validation": 2, "dev": 3}, {"train": 1, "val": 2, "dev": 3}])
def test_two_splits_of_one_meaning_keep_their_names(splits: dict[str, int], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert standard_splits(splits, where="mine") == splits
    assert "mine: split 'dev' is not read as the validation split" in caplog.text


@pytest.mark.parametrize("content", [b"\xff{", b"[1]", b'{"info": null}', b'{"info": {"features": 3}}'])
def test_metadata_that_cannot_be_read_says_nothing(content: bytes) -> None:
    schema = pa.schema([("label", pa.int64())], metadata={b"huggingface": content})
    assert class_names(schema, "label") is None


def test_class_names() -> None:
    feature = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["a", "b"]}}}}
    schema = pa.schema([("label", pa.int64())], metadata={b"huggingface": json.dumps(feature).encode()})
    assert class_names(schema, "label") == ("a", "b")
