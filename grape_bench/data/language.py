"""Running text for language models: blocks of tokens. The target of each token is the next one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from pydantic import Field

from grape_bench.data.columns import cells, is_list, is_text, one_kind
from grape_bench.data.dataset import DataSet
from grape_bench.data.labels import Indices
from grape_bench.data.options import VALIDATION, Count, Name, SplitOptions
from grape_bench.data.rows import Facts, Samples, cut_counts, row_set
from grape_bench.data.tables import Table, check_columns, choose_splits, schema_of
from grape_bench.data.token_cache import Tokens, cached_tokens
from grape_bench.data.tokens import UNKNOWN, BytePairs, Kind, Tokenizer, Vocabulary, words_and_line_ends
from grape_bench.errors import UserError, unknown
from grape_bench.objectives.target import IGNORED, Target

TEXT_NAMES = ("text", "content", "sentence")


class LanguageOptions(SplitOptions):
    """The options of running text."""

    text_column: Name | None = Field(None, description="the name of a column of text, or of lists of token ids")
    tokens: Kind = Field("characters", description="characters, words, bpe")
    vocabulary: Count = Field(4096, description="a number of tokens, 1 or more")
    """The number of tokens of `bpe`, or the number of token ids in a column that holds ids."""
    tokenizer: Name | None = Field(None, description="a tokenizer.json, its folder, or a name on the Hub")
    block: Count = Field(128, description="a number of tokens, 1 or more")
    """The length of a sample."""


def language_set(name: str, tables: Mapping[str, Table], options: LanguageOptions, device: torch.device) -> DataSet:
    """Return the data set of a source's text. The rows of a split form one text, in order.

    If the source has no validation split, it is the last part of the training text. Raises UserError for an empty text,
    and for token ids beyond the vocabulary.
    """
    chosen = choose_splits(name, tables, options.test_split)
    ids, size, unit, about = _read(chosen, options)
    ids = _with_validation(ids, options)
    for split, one in ids.items():
        if len(one) < 2:
            raise UserError("the text is empty", where=f"{name}, {split} split", allowed="two tokens or more")
    samples = {split: blocks(one, options.block) for split, one in ids.items()}
    counts = {split: len(one.target) for split, one in samples.items()}
    cut = cut_counts(counts, options.model_copy(update={"validation": None}))
    facts = Facts(
        name=name,
        shape=(options.block,),
        key=" ".join(f"{split} {table.key}" for split, table in chosen.items()),
        options=options,
        objective="next-token",
        target=Target(unit=unit),
        vocabulary=size,
        classes=size,
        about=about,
        scored={part: int((samples[part].target[cut.rows[part]] != IGNORED).sum()) for part in samples},
    )
    return row_set(facts, samples, cut, device)


def _read(tables: Mapping[str, Table], options: LanguageOptions) -> tuple[dict[str, Indices], int, str, dict[str, Any]]:
    """Return the token ids of each split, the vocabulary size, the unit of a token, and facts for the record.

    A text is tokenized once per machine.
    """
    train = tables["train"]
    column = text_column(schema_of(train), options.text_column, where=train.where)
    check_columns(tables, [column])
    lists = one_kind(tables, column) == "lists"
    stored = BytePairs.stored(options.tokenizer) if options.tokenizer and not lists else None
    kind = stored.hash if stored else ["ids" if lists else options.tokens, options.vocabulary]
    content = [(split, table.key) for split, table in tables.items()]
    found = cached_tokens(
        json.dumps([content, column, kind, version("tokenizers")]),
        lambda: (
            _ids_of_lists(tables, column, options.vocabulary) if lists else _tokens(tables, column, options, stored)
        ),
    )
    ids = {split: np.asarray(one, dtype=np.int64) for split, one in found.ids.items()}
    characters = options.tokens == "characters" and not options.tokenizer and not lists
    return ids, found.facts["vocabulary"], "character" if characters else "token", found.facts


def _tokens(tables: Mapping[str, Table], column: str, options: LanguageOptions, stored: BytePairs | None) -> Tokens:
    texts = {split: lines(table, column) for split, table in tables.items()}
    tokenizer = stored or make_tokenizer(texts, options)
    encoded = {split: np.array([i for one in tokenizer.encode(rows) for i in one]) for split, rows in texts.items()}
    return Tokens(
        {split: ids.astype(np.int32) for split, ids in encoded.items()},
        about_tokens(tokenizer, encoded),
    )


def _ids_of_lists(tables: Mapping[str, Table], column: str, vocabulary: int) -> Tokens:
    ids = {split: token_ids(table, column, vocabulary) for split, table in tables.items()}
    return Tokens(ids, {"vocabulary": vocabulary})


def _with_validation(ids: dict[str, Indices], options: LanguageOptions) -> dict[str, Indices]:
    """If there is no validation text, cut it from the end of the training text."""
    if "validation" in ids:
        if options.validation is not None:
            hint = "remove `validation` from dataset_args"
            raise UserError("the source already has a validation split", where="validation", hint=hint)
        return ids
    end = len(ids["train"]) - round((options.validation or VALIDATION) * len(ids["train"]))
    return {**ids, "train": ids["train"][:end], "validation": ids["train"][end:]}


def text_column(schema: Any, requested: str | None, *, where: str) -> str:
    """Return the column of text: the `requested` one, one of the usual names, or the only one. Raises UserError."""
    if requested is not None:
        if requested not in schema.names:
            raise unknown("text_column", requested, schema.names, where=where)
        if not (is_text(schema.field(requested).type) or is_list(schema.field(requested).type)):
            raise UserError(f"column {requested!r} ({schema.field(requested).type}) holds no text", where=where)
        return requested
    found = [name for name in schema.names if is_text(schema.field(name).type)]
    found = found or [name for name in schema.names if is_list(schema.field(name).type)]
    usual = [name for name in TEXT_NAMES if name in found]
    if not found or (len(found) > 1 and not usual):
        what = f"{len(found)} of the columns {', '.join(schema.names)} hold text"
        raise UserError(what, where=where, hint='dataset_args = { text_column = "NAME" }')
    return usual[0] if usual else found[0]


def lines(table: Table, column: str) -> list[str]:
    """Read the rows of a text. Adds a line break to each row that lacks one, except the last."""
    rows = ["" if cell is None else str(cell) for cell in cells(table, column)]
    return [row if row.endswith("\n") else row + "\n" for row in rows[:-1]] + rows[-1:]


def make_tokenizer(texts: Mapping[str, Sequence[str]], options: LanguageOptions) -> Tokenizer:
    """Make the tokenizer of running text from its training split. Adds `UNKNOWN` only if another split needs it."""
    if options.tokens == "bpe":
        return BytePairs.trained(texts["train"], options.vocabulary)
    made = Vocabulary.of(list if options.tokens == "characters" else words_and_line_ends, texts["train"])
    if UNKNOWN not in made.tokens and not all(made.knows(rows) for rows in texts.values()):
        made = Vocabulary(made.pieces, (*made.tokens, UNKNOWN))
    return made


def about_tokens(tokenizer: Tokenizer, ids: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record's facts about the tokens: the vocabulary, its hash, and how many tokens are unknown."""
    found: dict[str, Any] = {"vocabulary": tokenizer.size, "vocabulary_hash": tokenizer.hash}
    unknown_id = tokenizer.unknown
    counts = {split: int((np.asarray(one) == unknown_id).sum()) for split, one in ids.items()}
    return found | ({"unknown_tokens": counts} if unknown_id is not None else {})


def token_ids(table: Table, column: str, vocabulary: int) -> Indices:
    """Read a column of lists of token ids. Raises UserError for an id beyond `vocabulary`."""
    rows = cells(table, column)
    for row, cell in enumerate(rows):
        bad = [one for one in cell or () if not isinstance(one, int) or not 0 <= one < vocabulary]
        if bad:
            raise UserError(
                f"the token id {bad[0]!r} is beyond the vocabulary",
                where=table.place(row),
                allowed=f"0 to {vocabulary - 1}",
                hint="dataset_args = { vocabulary = N }",
            )
    return np.array([one for cell in rows for one in cell or ()], dtype=np.int64)


def blocks(ids: Indices, length: int) -> Samples:
    """Cut ids (T,) into inputs and targets (N, length). Each target is the next id, or ignored at the end."""
    # ids [3 1 4 1 5], length 3: inputs [3 1 4] and [1 0 0], targets [1 4 1] and [5 ignored ignored].
    count = -(-(len(ids) - 1) // length)
    inputs = np.zeros(count * length, dtype=np.int64)
    target = np.full(count * length, IGNORED, dtype=np.int64)
    inputs[: len(ids) - 1], target[: len(ids) - 1] = ids[:-1], ids[1:]
    shaped = torch.from_numpy(inputs).view(count, length)
    return Samples((), torch.from_numpy(target).view(count, length), {"input_ids": shaped})
