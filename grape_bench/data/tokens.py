"""Tokenizers turn text into numbers. A vocabulary comes only from the training split, and its hash is recorded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Protocol

from grape_bench.errors import UserError

PAD, UNKNOWN, SEPARATOR, LINE_END = "<pad>", "<unk>", "<sep>", "<eos>"

Kind = Literal["characters", "words", "bpe"]
Pieces = Callable[[str], Iterable[str]]
"""Splits a text into tokens."""


@dataclass(frozen=True)
class Encoded:
    """The token ids of a text or a pair, the index of each token's text (0 or 1), and whether tokens were cut off."""

    ids: list[int]
    types: list[int]
    is_cut: bool


class Tokenizer(Protocol):
    """Turns text into token ids."""

    @property
    def size(self) -> int:
        """The number of token ids."""

    @property
    def hash(self) -> str:
        """A digest of the vocabulary."""

    @property
    def unknown(self) -> int | None:
        """The id for text that is not in the vocabulary, if there is one."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text."""

    def encode_rows(self, rows: Sequence[tuple[str, ...]], length: int | None) -> list[Encoded]:
        """Return each row, a text or a pair, cut to at most `length` tokens."""

    @property
    def padding(self) -> int:
        """The id that fills a row."""


@dataclass(frozen=True)
class Vocabulary:
    """Tokens that `pieces` splits from a text, in the order of their ids."""

    pieces: Pieces
    tokens: tuple[str, ...]

    @classmethod
    def of(cls, pieces: Pieces, texts: Iterable[str], reserved: Sequence[str] = ()) -> Vocabulary:
        """Collect the tokens of `texts`, most frequent first. The `reserved` tokens come before them."""
        counts = Counter(piece for text in texts for piece in pieces(text))
        found = sorted(counts, key=lambda token: (-counts[token], token))
        return cls(pieces, (*reserved, *(token for token in found if token not in reserved)))

    def knows(self, texts: Iterable[str]) -> bool:
        """Whether the vocabulary has every token of `texts`."""
        return all(piece in self._ids for text in texts for piece in self.pieces(text))

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens)}

    @property
    def size(self) -> int:
        """The number of tokens."""
        return len(self.tokens)

    @property
    def hash(self) -> str:
        """A digest of the tokens in order."""
        return sha256(json.dumps(self.tokens).encode()).hexdigest()[:16]

    @property
    def unknown(self) -> int | None:
        """The id of `UNKNOWN`, if the vocabulary has it."""
        return self._ids.get(UNKNOWN)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """See `Tokenizer.encode`. The vocabulary must know the texts or have the token `UNKNOWN`."""
        ids, unknown = self._ids, self._ids.get(UNKNOWN, -1)
        return [[ids.get(piece, unknown) for piece in self.pieces(text)] for text in texts]

    def encode_rows(self, rows: Sequence[tuple[str, ...]], length: int | None) -> list[Encoded]:
        """See `Tokenizer.encode_rows`. The token `SEPARATOR` separates the texts of a pair."""
        encoded = [self.encode(row) for row in rows]
        return [_joined(parts, self._ids.get(SEPARATOR), length) for parts in encoded]

    @property
    def padding(self) -> int:
        """The id of `PAD`, or 0."""
        return self._ids.get(PAD, 0)


@dataclass(frozen=True)
class BytePairs:
    """A tokenizer of the library `tokenizers`, trained here or read from a file or the Hub."""

    inner: Any

    @classmethod
    def trained(cls, texts: Iterable[str], size: int) -> BytePairs:
        """Train byte-pair encoding on `texts` until it has `size` tokens. Every text can be encoded.

        Source: Sennrich et al. 2016, on bytes as in GPT-2.
        """
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        inner = Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=[PAD, SEPARATOR],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        inner.train_from_iterator(texts, trainer)
        return cls(inner)

    @classmethod
    def stored(cls, name: str) -> BytePairs:
        """Read a tokenizer from a `tokenizer.json`, its folder, or the Hub (`OWNER/NAME`). Raises UserError."""
        from tokenizers import Tokenizer

        path = Path(name).expanduser()
        file = path / "tokenizer.json" if path.is_dir() else path
        try:
            inner = Tokenizer.from_file(str(file)) if file.is_file() else Tokenizer.from_pretrained(name)
        except Exception as error:  # `tokenizers` raises bare exceptions
            hint = "the path of a tokenizer.json, or a name on the Hub that this machine has loaded before"
            where = f"tokenizer = {name!r}"
            raise UserError(f"the tokenizer cannot be loaded: {error}", where=where, hint=hint) from error
        inner.no_padding()
        inner.no_truncation()
        return cls(inner)

    @property
    def size(self) -> int:
        """The number of tokens."""
        return int(self.inner.get_vocab_size())

    @property
    def hash(self) -> str:
        """A digest of the tokens, the merges and the rules for cutting text."""
        return sha256(self.inner.to_str().encode()).hexdigest()[:16]

    @property
    def unknown(self) -> int | None:
        """The id of unknown text. Byte-pair encoding has none."""
        found: int | None = self.inner.token_to_id(getattr(self.inner.model, "unk_token", None) or UNKNOWN)
        return found

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """See `Tokenizer.encode`. No special tokens are added."""
        return [one.ids for one in self.inner.encode_batch(list(texts), add_special_tokens=False)]

    def encode_rows(self, rows: Sequence[tuple[str, ...]], length: int | None) -> list[Encoded]:
        """See `Tokenizer.encode_rows`. A stored tokenizer adds its own special tokens, such as [CLS]."""
        if self.inner.post_processor is None:
            separator = self.inner.token_to_id(SEPARATOR)
            return [_joined(self.encode(row), separator, length) for row in rows]
        if length is not None:
            self.inner.enable_truncation(length)
        found = self.inner.encode_batch([row if len(row) > 1 else row[0] for row in rows])
        self.inner.no_truncation()
        return [Encoded(one.ids, one.type_ids, bool(one.overflowing)) for one in found]

    @property
    def padding(self) -> int:
        """The id of the padding token, or 0."""
        found = (self.inner.token_to_id(token) for token in (PAD, "[PAD]", "<|endoftext|>"))
        return next((one for one in found if one is not None), 0)


def _joined(parts: Sequence[list[int]], separator: int | None, length: int | None) -> Encoded:
    """Join the ids of a text or a pair."""
    first = [*parts[0], *([separator] if len(parts) > 1 and separator is not None else [])]
    ids = [*first, *(parts[1] if len(parts) > 1 else [])]
    types = [0] * len(first) + [1] * (len(ids) - len(first))
    return Encoded(ids[:length], types[:length], length is not None and len(ids) > length)


def words_and_line_ends(text: str) -> list[str]:
    """Split a text at white space, with the token `LINE_END` at the end of each line."""
    return [word for line in text.splitlines() or [""] for word in (*line.split(), LINE_END)]
