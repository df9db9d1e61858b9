"""Recurrent networks for tokens and series. Each layer is a separate module."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from grape_bench.models.arguments import Widths
from grape_bench.models.inputs import Inputs
from grape_bench.models.sequence import Reader, pooled, real_steps

Cell = Callable[[int, int], nn.Module]
"""Makes a layer from its numbers of inputs and units. It maps (N, length, n_in) to (all outputs, final state)."""

LSTM: Cell = partial(nn.LSTM, batch_first=True)
GRU: Cell = partial(nn.GRU, batch_first=True)


class RecurrentLayer(nn.Module):
    """One layer of recurrent units and dropout: (N, length, n_in) -> (N, length, n_out)."""

    def __init__(self, cell: Cell, n_in: int, n_out: int, dropout: float) -> None:
        super().__init__()
        self.cell = cell(n_in, n_out)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map all steps, starting from a state of zeros."""
        made: Tensor = self.dropout(self.cell(x)[0])
        return made


class Recurrent(nn.Module):
    """Token embeddings (or a series without them), recurrent `layers` and a linear `head`.

    The logits are those of every step, or of the last real step. The weights have PyTorch's default initialization.
    Raises UserError for data that are not sequences.
    """

    def __init__(
        self, model_id: str, cell: Cell, shape: tuple[int, ...], classes: int, inputs: Inputs, *, hidden: Widths,
        dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.reader = Reader(model_id, inputs, shape, hidden[0], project=False)
        self.per_step = inputs.per_step
        widths = [self.reader.width, *hidden]
        self.layers = nn.ModuleList(RecurrentLayer(cell, n_in, n_out, dropout) for n_in, n_out in pairwise(widths))
        self.head = nn.Linear(widths[-1], classes)

    def forward(
        self,
        x: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Map tokens or a series to logits (N, classes), or (N, length, classes) for a class per step."""
        x = self.reader(x, input_ids, token_type_ids)
        for layer in self.layers:
            x = layer(x)
        logits: Tensor = self.head(self.read(x, attention_mask, mask))
        return logits

    def read(self, steps: Tensor, attention_mask: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """The part of `steps` (N, length, n) that the head reads: all of them, or the last real one (N, n)."""
        return steps if self.per_step else pooled(steps, real_steps(attention_mask, mask), "last")
