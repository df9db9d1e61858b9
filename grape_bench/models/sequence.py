"""Shared by sequence models: reading tokens or a series, and pooling a sequence to one vector."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from grape_bench.errors import UserError
from grape_bench.models.inputs import Inputs

Pool = Literal["mean", "last"]


class Reader(nn.Module):
    """Reads tokens (N, length), series (N, channels, length) or (N, length) as vectors (N, length, `width`).

    Tokens get embeddings of `size` numbers. For pairs of texts, an embedding of the text's index is added. Series are
    mapped to `size` numbers if `project`, and otherwise keep their channels. Raises UserError for other data.
    """

    def __init__(
        self, model_id: str, inputs: Inputs, shape: tuple[int, ...], size: int, *, project: bool = True
    ) -> None:
        super().__init__()
        inputs.require(model_id, "tokens", "values")
        self.width = size
        self.tokens = self.types = self.channels = None
        if inputs.kind == "tokens":
            self.tokens = nn.Embedding(inputs.vocabulary, size)
            if "token_type_ids" in inputs.named:
                self.types = nn.Embedding(2, size)
            return
        if len(shape) not in (1, 2):
            what = f"the model needs tokens or series, not samples of shape {shape}"
            raise UserError(what, where=model_id, hint='model = "cnn"')
        channels = 1 if len(shape) == 1 else shape[0]
        if project:
            self.channels = nn.Linear(channels, size)
        else:
            self.width = channels

    def forward(self, x: Tensor | None, input_ids: Tensor | None, token_type_ids: Tensor | None) -> Tensor:
        """Return vectors (N, length, width) for whichever input is given."""
        if self.tokens is not None:
            found: Tensor = self.tokens(input_ids)
            return found if self.types is None else found + self.types(token_type_ids)
        assert x is not None
        steps = x[:, :, None] if x.dim() == 2 else x.transpose(1, 2)
        return steps if self.channels is None else self.channels(steps)


def real_steps(attention_mask: Tensor | None, mask: Tensor | None) -> Tensor | None:
    """Return which steps (N, length) are not padding, or None if all are real."""
    given = attention_mask if attention_mask is not None else mask
    return None if given is None else given.bool()


def pooled(x: Tensor, real: Tensor | None, pool: Pool) -> Tensor:
    """Return one vector (N, width) of the real steps of `x` (N, length, width): their mean, or the last one."""
    if pool == "last":
        if real is None:
            return x[:, -1]
        return x[torch.arange(len(x), device=x.device), real.sum(1) - 1]
    if real is None:
        return x.mean(1)
    weights = real.to(x.dtype)
    return torch.einsum("nlw,nl->nw", x, weights / weights.sum(1, keepdim=True))
