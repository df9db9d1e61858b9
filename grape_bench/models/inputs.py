"""The model's inputs from a data set, for models that read more than one tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from grape_bench.errors import UserError
from grape_bench.network.trace import Batch
from grape_bench.objectives.target import Target

Kind = Literal["values", "tokens", "token pairs", "graph", "categories"]

WORDS: dict[Kind, str] = {
    "values": "numbers",
    "tokens": "tokens",
    "token pairs": "sequences with `decoder_input_ids`",
    "graph": "a graph",
    "categories": "numbers with category ids",
}
HINTS: dict[Kind, str] = {
    "values": 'model = "mlp"',
    "tokens": 'model = "transformer"',
    "token pairs": 'model = "hf:t5"',
    "graph": 'model = "gcn"',
    "categories": 'model = "tower"',
}


class Batches(Protocol):
    """A split that yields the arguments of the model and the target."""

    def batches(self, batch_size: int) -> Iterator[tuple[Batch, Tensor]]:
        """Yield ((args, kwargs), target) in order."""


class ModelData(Protocol):
    """The part of a data set that models read."""

    @property
    def vocabulary(self) -> int:
        """The number of token ids, 0 if the inputs are not tokens."""

    @property
    def target(self) -> Target:
        """The description of the targets."""

    @property
    def description(self) -> dict[str, object]:
        """What the record says about the data."""

    @property
    def train(self) -> Batches:
        """The training split."""

    @property
    def validation(self) -> Batches:
        """The validation split."""


@dataclass(frozen=True)
class Inputs:
    """A small batch: the model's arguments, `args` and `named`, and the target.

    `vocabulary` is the number of token ids or category ids. `unit` is what a target belongs to, such as "node".
    `tokens_hash` identifies the vocabulary of a text. `padding` is the token id that fills short texts.
    """

    args: tuple[Tensor, ...]
    named: Mapping[str, Tensor] = field(default_factory=dict)
    target: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.int64))
    vocabulary: int = 0
    unit: str = "sample"
    tokens_hash: str = ""
    padding: int | None = None
    is_assumed: bool = False
    """Whether there is no data set, so that only the shape of a sample is known."""

    @property
    def kind(self) -> Kind:
        """The kind of data."""
        if "decoder_input_ids" in self.named:
            return "token pairs"
        if "input_ids" in self.named:
            return "tokens"
        if self.unit == "node":
            return "graph"
        is_pair = len(self.args) == 2 and not self.args[1].is_floating_point()
        return "categories" if is_pair else "values"

    @property
    def has_tokens(self) -> bool:
        """Whether the model receives token ids."""
        return self.kind in ("tokens", "token pairs")

    @property
    def length(self) -> int:
        """The number of steps of the longest sequence: tokens, or the last axis of a series."""
        return max(one.shape[-1] for one in (*self.named.values(), *self.args))

    @property
    def per_step(self) -> bool:
        """Whether each step of the sequence has its own target, which is a class."""
        is_class = not self.target.is_floating_point() and self.target.dim() == 2
        return is_class and (self.kind == "token pairs" or self.target.shape[1] == self.length)

    @property
    def predicts_next(self) -> bool:
        """Whether the target of each step is the token of the next step."""
        ids = self.named.get("input_ids")
        return ids is not None and self.per_step and torch.equal(ids[:1, 1:], self.target[:1, :-1])

    def require(self, model_id: str, *kinds: Kind) -> None:
        """Raise UserError unless the data is of one of `kinds`."""
        if self.kind not in kinds:
            wanted = " or ".join(WORDS[kind] for kind in kinds)
            what = f"the model needs {wanted}, not {WORDS[self.kind]}"
            raise UserError(what, where=model_id, hint=HINTS[self.kind])

    @classmethod
    def of(cls, data: ModelData) -> Inputs:
        """Read the first samples of the validation split."""
        (args, named), target = next(iter(data.validation.batches(2)))
        digest = str(data.description.get("vocabulary_hash", ""))
        padding = _padding(data) if "attention_mask" in named else None
        return cls(args, named, target, data.vocabulary, data.target.unit, digest, padding)

    @classmethod
    def of_shape(cls, shape: tuple[int, ...]) -> Inputs:
        """Make a stand-in when there is no data set: numbers (N, *shape) with one class per sample."""
        return cls((torch.zeros(1, *shape),), is_assumed=True)


def _padding(data: ModelData) -> int | None:
    """Return the token id where the attention mask is zero, or None if all texts have the same length."""
    for (_, named), _ in data.train.batches(1024):
        filled = named["input_ids"][named["attention_mask"] == 0]
        if len(filled):
            return int(filled[0])
    return None
