"""Text that is tokenized once per machine."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from grape_bench.data import DataSet, language
from grape_bench.data.token_cache import Tokens, cached_tokens
from tests.data.tables import write_columns

Load = Callable[..., DataSet]
LINES = ["to be\n", "or not\n", "to be\n"]


def made() -> Tokens:
    ids = {"train": np.arange(100, dtype=np.int32), "a/b": np.arange(7, dtype=np.int32)}
    return Tokens(ids, {"vocabulary": 100})


def must_not_tokenize() -> Tokens:
    raise AssertionError("tokenized although it was cached")


def assert_same(found: Tokens) -> None:
    assert found.facts == made().facts
    assert list(found.ids) == ["train", "a/b"]
    assert all(np.array_equal(found.ids[split], ids) for split, ids in made().ids.items())


def test_the_second_call_maps_what_the_first_one_stored() -> None:
    assert_same(cached_tokens("key", made))
    again = cached_tokens("key", must_not_tokenize)
    assert_same(again)
    assert isinstance(again.ids["train"], np.memmap)


@pytest.mark.parametrize("file", ["*-0.npy", "*-1.npy", "*.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone"])
def test_a_damaged_file_is_made_again(
    own_caches: Path, caplog: pytest.LogCaptureFixture, file: str, damage: str
) -> None:
    cached_tokens("key", made)
    (path,) = own_caches.glob(f"tokens/{file}")
    data = bytearray(path.read_bytes())
    data[-8] ^= 255
    path.write_bytes({"flip": data, "cut": data[: len(data) // 2], "empty": b"", "gone": b""}[damage])
    if damage == "gone":
        path.unlink()
    with caplog.at_level(logging.WARNING):
        assert_same(cached_tokens("key", made))
    assert ("tokenizing again" in caplog.text) == (file != "*.json" or damage != "gone")
    assert_same(cached_tokens("key", must_not_tokenize))


@pytest.mark.parametrize("tokens", ["characters", "words", "bpe"])
def test_a_second_job_reads_no_text(
    tmp_path: Path, load_on_cpu: Load, monkeypatch: pytest.MonkeyPatch, tokens: str
) -> None:
    name = write_columns(tmp_path, {"text": LINES}, validation={"text": LINES})
    options = {"tokens": tokens, "vocabulary": 300, "block": 4}
    first = load_on_cpu(name, **options)
    monkeypatch.setattr(language, "lines", None)
    second = load_on_cpu(name, **options)
    assert second.description == first.description
    assert torch.equal(torch.cat(list(second.train.targets())), torch.cat(list(first.train.targets())))


@pytest.mark.parametrize("change", ["the text", "the tokens", "the vocabulary"])
def test_other_text_and_other_tokens_are_tokenized(tmp_path: Path, load_on_cpu: Load, change: str) -> None:
    lines = {"text": LINES}
    one = load_on_cpu(write_columns(tmp_path / "one", lines, validation=lines), tokens="bpe", vocabulary=300)
    other = {"text": ["to see\n", *LINES]} if change == "the text" else lines
    name = write_columns(tmp_path / "other", other, validation=lines)
    tokens = "words" if change == "the tokens" else "bpe"
    two = load_on_cpu(name, tokens=tokens, vocabulary=260 if change == "the vocabulary" else 300)
    assert two.description["vocabulary_hash"] != one.description["vocabulary_hash"]
