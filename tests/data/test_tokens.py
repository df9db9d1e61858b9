"""Tokenizers."""

from pathlib import Path

import pytest

from grape_bench.data.tokens import PAD, UNKNOWN, BytePairs, Vocabulary, words_and_line_ends


def test_the_most_frequent_token_comes_first() -> None:
    made = Vocabulary.of(str.split, ["b a b", "c b a"], reserved=(PAD, UNKNOWN))
    assert made.tokens == (PAD, UNKNOWN, "b", "a", "c")
    assert made.encode(["a d"]) == [[3, 1]]


def test_lines_end_in_a_token() -> None:
    assert words_and_line_ends("a b\n\nc") == ["a", "b", "<eos>", "<eos>", "c", "<eos>"]
    assert words_and_line_ends("") == words_and_line_ends(" \n") == ["<eos>"]


def test_byte_pairs_are_the_same_each_time_and_can_be_stored(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    texts = ["low lower lowest\n", "new newer newest\n"] * 10
    first, second = BytePairs.trained(texts, 280), BytePairs.trained(texts, 280)
    assert first.hash == second.hash
    first.inner.save(str(tmp_path / "tokenizer.json"))
    stored = BytePairs.stored(str(tmp_path))
    assert stored.encode(["lowest ünew\n"]) == first.encode(["lowest ünew\n"])
    assert first.inner.decode(first.encode(["lowest ünew\n"])[0]) == "lowest ünew\n"
