"""Sentences and pairs of sentences with classes, padded to one length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import Field

from grape_bench.data.columns import is_text, texts
from grape_bench.data.dataset import DataSet
from grape_bench.data.labels import label_column, read_labels
from grape_bench.data.language import TEXT_NAMES, about_tokens
from grape_bench.data.options import Count, Name, SplitOptions
from grape_bench.data.rows import Facts, Samples, cut_labels, row_set
from grape_bench.data.tables import Table, check_columns, choose_splits, schema_of
from grape_bench.data.tokens import PAD, SEPARATOR, UNKNOWN, BytePairs, Encoded, Kind, Tokenizer, Vocabulary
from grape_bench.errors import UserError, unknown

PAIR_NAMES = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question", "sentence"),
    ("question1", "question2"),
)


class SentenceOptions(SplitOptions):
    """The options of sentences."""

    text_column: Name | None = Field(None, description="the name of a column of text")
    pair_column: Name | None = Field(None, description="the name of the column with the second text of a pair")
    label_column: Name | None = Field(None, description="the name of a column of classes")
    tokens: Kind = Field("words", description="characters, words, bpe")
    vocabulary: Count = Field(4096, description="a number of tokens, 1 or more")
    """The number of tokens of `bpe`."""
    tokenizer: Name | None = Field(None, description="a tokenizer.json, its folder, or a name on the Hub")
    length: Count | None = Field(None, description="a number of tokens, 1 or more")
    """Longer texts are cut to this length. By default it is the length of the longest text."""


def sentence_set(name: str, tables: Mapping[str, Table], options: SentenceOptions, device: torch.device) -> DataSet:
    """Return the data set of a source's sentences.

    A model receives `input_ids`, `attention_mask` and, for pairs, `token_type_ids`, all (N, length) int64. Raises
    UserError for missing columns and for empty texts.
    """
    chosen = choose_splits(name, tables, options.test_split)
    train = chosen["train"]
    label = label_column(schema_of(train), options.label_column, where=train.where)
    columns = _text_columns(train, label, options)
    check_columns(chosen, [label, *columns])
    labels = read_labels(name, chosen, label)
    cut = cut_labels(name, labels, options)
    found = {
        split: list(zip(*(_read(table, column) for column in columns), strict=True)) for split, table in chosen.items()
    }
    tokenizer = _make_tokenizer([text for row in found["train"] for text in row], options)
    encoded = {split: tokenizer.encode_rows(rows, options.length) for split, rows in found.items()}
    length = options.length or max(len(one.ids) for rows in encoded.values() for one in rows)
    targets = {split: torch.from_numpy(one) for split, one in labels.of.items()}
    samples = {
        split: _padded(rows, targets[split], length, tokenizer.padding, with_types=len(columns) == 2)
        for split, rows in encoded.items()
    }
    cut_off = {split: sum(one.is_cut for one in rows) for split, rows in encoded.items()}
    ids = {split: [i for one in rows for i in one.ids] for split, rows in encoded.items()}
    facts = Facts(
        name=name,
        shape=(length,),
        key=" ".join(f"{split} {table.key}" for split, table in chosen.items()),
        options=options,
        objective="classification",
        labels=labels,
        vocabulary=tokenizer.size,
        about=about_tokens(tokenizer, ids) | ({"cut_off": cut_off} if any(cut_off.values()) else {}),
    )
    return row_set(facts, samples, cut, device)


def _text_columns(train: Table, label: str, options: SentenceOptions) -> list[str]:
    schema = schema_of(train)
    for requested, option in ((options.text_column, "text_column"), (options.pair_column, "pair_column")):
        if requested is not None and requested not in schema.names:
            raise unknown(option, requested, schema.names, where=train.where)
    if options.text_column:
        return [options.text_column, *([options.pair_column] if options.pair_column else [])]
    found = [name for name in schema.names if name != label and is_text(schema.field(name).type)]
    pair = next((list(pair) for pair in PAIR_NAMES if set(pair) <= set(found)), [])
    usual = [name for name in TEXT_NAMES if name in found]
    if pair or usual or len(found) == 1:
        return pair or usual[:1] or found
    what = f"{len(found)} of the columns {', '.join(schema.names)} hold text"
    raise UserError(what, where=train.where, hint='dataset_args = { text_column = "NAME" }, and pair_column for pairs')


def _read(table: Table, column: str) -> list[str]:
    found = texts(table, column)
    for row, text in enumerate(found):
        if not text.strip():
            raise UserError(f"the text in column {column!r} is empty", where=table.place(row))
    return found


def _make_tokenizer(train: Sequence[str], options: SentenceOptions) -> Tokenizer:
    if options.tokenizer:
        return BytePairs.stored(options.tokenizer)
    if options.tokens == "bpe":
        return BytePairs.trained(train, options.vocabulary)
    pieces: Any = list if options.tokens == "characters" else str.split
    return Vocabulary.of(pieces, train, reserved=(PAD, UNKNOWN, SEPARATOR))


def _padded(rows: list[Encoded], target: torch.Tensor, length: int, pad: int, *, with_types: bool) -> Samples:
    """Pad the ids of each row to `length` on the right."""
    ids = np.full((len(rows), length), pad, dtype=np.int64)
    mask, types = np.zeros_like(ids), np.zeros_like(ids)
    for row, one in enumerate(rows):
        size = len(one.ids)
        ids[row, :size], types[row, :size], mask[row, :size] = one.ids, one.types, 1
    named = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
    if with_types:
        named["token_type_ids"] = torch.from_numpy(types)
    return Samples((), target, named)
