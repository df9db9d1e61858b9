"""Recurrent networks for tokens and series. Each layer is a module of its own."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from grape_bench.models.arguments import Widths
from grape_bench.models.inputs import Inputs
from grape_bench.models.sequence import Reader, pooled, real_steps

Cell = type[nn.LSTM] | type[nn.GRU]


class RecurrentLayer(nn.Module):
    """One layer of LSTM or GRU units and dropout: (N, length, n_in) -> (N, length, n_out)."""

    def __init__(self, cell: Cell, n_in: int, n_out: int, dropout: float) -> None:
        super().__init__()
        self.cell = cell(n_in, n_out, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map all steps, the first one from a state of zeros."""
        made: Tensor = self.dropout(self.cell(x)[0])
        return made


class Recurrent(nn.Module):
    """Embeddings of tokens, or a series as it is, recurrent `layers` and a linear `head`.

    The logits are those of every step, or of the last real step. The weights have PyTorch's default initialization.
    Raises UserError for data that is not a sequence.
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
        real = real_steps(attention_mask, mask)
        logits: Tensor = self.head(x if self.per_step else pooled(x, real, "last"))
        return logits
