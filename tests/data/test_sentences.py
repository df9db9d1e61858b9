"""Sentences and pairs with a class."""

from collections.abc import Callable
from pathlib import Path

import pytest

from grape_bench.data import DataSet
from grape_bench.errors import UserError
from tests.data.tables import write_columns

Load = Callable[..., DataSet]

ONE = {"sentence": ["good film", "bad film", "a good one", "bad"] * 5, "label": ["yes", "no", "yes", "no"] * 5}
PAIR = {"premise": ["it rains", "it is dry"] * 10, "hypothesis": ["it is wet", "rains"] * 10, "label": [0, 1] * 10}


def test_sentences_are_padded_and_masked(tmp_path: Path, load_on_cpu: Load) -> None:
    data = load_on_cpu(write_columns(tmp_path, ONE, {"sentence": ["film bad", "unseen"], "label": ["no", "yes"]}))
    (args, named), labels = next(data.test.batches(2))
    # <pad> <unk> <sep> bad film good a one
    assert named["input_ids"].tolist() == [[4, 3, 0], [1, 0, 0]]
    assert named["attention_mask"].tolist() == [[1, 1, 0], [1, 0, 0]]
    assert (args, labels.tolist(), data.shape, data.classes, data.vocabulary) == ((), [0, 1], (3,), 2, 8)
    assert data.description["unknown_tokens"] == {"train": 0, "test": 1}


def test_pairs_have_a_separator_and_types(tmp_path: Path, load_on_cpu: Load) -> None:
    data = load_on_cpu(write_columns(tmp_path, PAIR))
    (_, named), _ = next(data.test.batches(1))
    assert named["token_type_ids"].tolist() == [[0, 0, 0, 1, 1, 1]]
    assert named["input_ids"][0, 2] == 2
    assert named["attention_mask"].sum() == 6


def test_a_longer_text_is_cut_and_counted(tmp_path: Path, load_on_cpu: Load) -> None:
    data = load_on_cpu(write_columns(tmp_path, ONE), length=2)
    assert data.shape == (2,)
    assert data.description["cut_off"] == {"train": 5, "test": 5}


def test_a_hugging_face_tokenizer_is_used(tmp_path: Path, load_on_cpu: Load) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    words = {"[PAD]": 0, "[UNK]": 1, "[SEP]": 2, "good": 3, "bad": 4}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    data = load_on_cpu(write_columns(tmp_path, ONE), tokenizer=str(tmp_path))
    (_, named), _ = next(data.test.batches(2))
    assert named["input_ids"].tolist() == [[3, 1, 0], [4, 1, 0]]
    assert data.vocabulary == 5


def test_a_tokenizer_with_a_template_adds_its_special_tokens(tmp_path: Path, load_on_cpu: Load) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    words = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "it": 4, "rains": 5}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.save(str(tmp_path / "tokenizer.json"))
    data = load_on_cpu(write_columns(tmp_path, PAIR), tokenizer=str(tmp_path), length=7)
    (_, named), _ = next(data.test.batches(1))
    assert named["input_ids"].tolist() == [[2, 4, 5, 3, 4, 1, 3]]  # [CLS] it rains [SEP] it is [SEP]
    assert named["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1, 1]]
    assert data.description["cut_off"] == {"train": 10, "test": 10}


@pytest.mark.parametrize(
    ("test", "args", "said"),
    [
        ({"sentence": ["a", " "], "label": ["yes", "no"]}, {}, r"row 1 of test.parquet: .* 'sentence' is empty"),
        ({"sentence": ["a", None], "label": ["yes", "no"]}, {}, r"row 1 of test.parquet: .* 'sentence' is empty"),
        ({"text": ["a"], "label": ["yes"]}, {}, r"test.parquet: unknown column 'sentence'"),
        ({"sentence": ["a"], "label": ["perhaps"]}, {}, "no training sample has the label 'perhaps'"),
        (ONE, {"pair_column": "sentense"}, "unknown pair_column 'sentense'; did you mean 'sentence'"),
    ],
)
def test_bad_sentences_are_refused(tmp_path: Path, load_on_cpu: Load, test: dict, args: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_on_cpu(write_columns(tmp_path, ONE, test), **args)
