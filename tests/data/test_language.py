"""Running text for language models."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from grape_bench.data import DataSet
from grape_bench.data.language import blocks
from grape_bench.errors import UserError
from grape_bench.objectives.target import IGNORED
from tests.data.tables import write_columns

Load = Callable[..., DataSet]

LINES = ["to be\n", "or not\n", "to be\n"]


def test_blocks_of_an_example() -> None:
    """The example in the comment of `blocks`."""
    samples = blocks(torch.tensor([3, 1, 4, 1, 5]).numpy(), 3)
    assert samples.named["input_ids"].tolist() == [[3, 1, 4], [1, 0, 0]]
    assert samples.target.tolist() == [[1, 4, 1], [5, IGNORED, IGNORED]]


def test_every_character_is_scored_once(tmp_path: Path, load_on_cpu: Load) -> None:
    name = write_columns(tmp_path, {"text": LINES}, validation={"text": LINES})
    data = load_on_cpu(name, block=4)
    text = "".join(LINES)
    letters = sorted(set(text), key=lambda one: (-text.count(one), one))
    (args, named), _ = next(data.test.batches(100))
    assert (args, data.objective, data.target.unit) == ((), "next-token", "character")
    assert "".join(letters[i] for i in named["input_ids"].flatten()[: len(text) - 1]) == text[:-1]
    targets = torch.cat(list(data.test.targets())).flatten()
    assert "".join(letters[i] for i in targets[targets != IGNORED]) == text[1:]
    assert len(data.test) == len(text) - 1
    assert data.classes == data.vocabulary == data.description["vocabulary"] == len(letters)


def test_words_and_line_ends(tmp_path: Path, load_on_cpu: Load) -> None:
    data = load_on_cpu(write_columns(tmp_path, {"text": LINES}, validation={"text": LINES}), tokens="words")
    assert (data.vocabulary, len(data.train)) == (5, 8)  # be, to, or, not, and the end of a line


def test_a_word_that_train_lacks_is_unknown_and_counted(tmp_path: Path, load_on_cpu: Load) -> None:
    splits = {"train": {"text": LINES}, "test": {"text": ["to live\n"]}, "validation": {"text": LINES}}
    data = load_on_cpu(write_columns(tmp_path, **splits), tokens="words")
    assert data.vocabulary == 6
    assert data.description["unknown_tokens"] == {"train": 0, "test": 1, "validation": 0}


def test_byte_pairs_are_trained_on_train_alone(tmp_path: Path, load_on_cpu: Load) -> None:
    pytest.importorskip("tokenizers")
    text = {"text": ["the cat and the hat on the mat\n"] * 20}
    found = [
        load_on_cpu(write_columns(tmp_path / name, text, {"text": other}), tokens="bpe", vocabulary=270, block=8)
        for name, other in (("one", ["the cat\n"]), ("two", ["something else: é\n"] * 50))
    ]
    assert found[0].description["vocabulary_hash"] == found[1].description["vocabulary_hash"]
    assert found[0].vocabulary == 270
    assert len(found[0].train) < 20 * 31 // 2


def test_the_hash_tells_vocabularies_apart(tmp_path: Path, load_on_cpu: Load) -> None:
    hashes = {
        load_on_cpu(write_columns(tmp_path / f"{i}", {"text": [line] * 30})).description["vocabulary_hash"]
        for i, line in enumerate(("ab\n", "ac\n", "ab\n"))
    }
    assert len(hashes) == 2


def test_validation_is_the_end_of_the_training_text(tmp_path: Path, load_on_cpu: Load) -> None:
    data = load_on_cpu(write_columns(tmp_path, {"text": ["a" * 89, "b" * 10]}), block=200)
    assert data.description["sizes"] == {"train": 89, "validation": 9, "test": 99}
    (_, named), _ = next(data.validation.batches(1))
    assert set(named["input_ids"][0, :9].tolist()) == {1}  # a, b, and the line break between the rows


def test_limit_keeps_blocks(tmp_path: Path, load_on_cpu: Load) -> None:
    data = load_on_cpu(write_columns(tmp_path, {"text": ["abcd\n"] * 100}), block=10, limit=3)
    assert len(data.train) == 30


def test_token_ids_in_a_column(tmp_path: Path, load_on_cpu: Load) -> None:
    name = write_columns(tmp_path, {"input_ids": [[0, 1, 2], [3]] * 10}, {"input_ids": [[1, 5]]})
    with pytest.raises(UserError, match=r"row 0 of test.parquet: the token id 5 is beyond[\s\S]*0 to 4"):
        load_on_cpu(name, vocabulary=5)
    data = load_on_cpu(name, vocabulary=6)
    assert (data.vocabulary, data.target.unit) == (6, "token")


def test_an_empty_text_and_an_unknown_column_are_refused(tmp_path: Path, load_on_cpu: Load) -> None:
    name = write_columns(tmp_path, {"text": LINES}, {"text": [""]})
    with pytest.raises(UserError, match="test split: the text is empty"):
        load_on_cpu(name)
    with pytest.raises(UserError, match="unknown text_column 'txt'; did you mean 'text'"):
        load_on_cpu(name, text_column="txt", kind="text")


def test_a_tokenizer_that_does_not_exist(tmp_path: Path, load_on_cpu: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tokenizers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    name = write_columns(tmp_path, {"text": LINES})
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="the tokenizer cannot be loaded"):
        load_on_cpu(name, tokenizer=str(tmp_path))
