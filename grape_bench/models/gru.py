"""GRU networks."""

from __future__ import annotations

from grape_bench.models.arguments import Rate, Widths
from grape_bench.models.inputs import Inputs
from grape_bench.models.recurrent import GRU, Recurrent


def gru(
    shape: tuple[int, ...], classes: int, inputs: Inputs, hidden: Widths = (128, 128), dropout: Rate = 0.0
) -> Recurrent:
    """Layers of gated recurrent units (Cho et al. 2014)."""
    return Recurrent("gru", GRU, shape, classes, inputs, hidden=hidden, dropout=dropout)
