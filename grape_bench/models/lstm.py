"""LSTM networks."""

from __future__ import annotations

from grape_bench.models.arguments import Rate, Widths
from grape_bench.models.inputs import Inputs
from grape_bench.models.recurrent import LSTM, Recurrent


def lstm(
    shape: tuple[int, ...], classes: int, inputs: Inputs, hidden: Widths = (128, 128), dropout: Rate = 0.0
) -> Recurrent:
    """Layers of long short-term memory (Hochreiter and Schmidhuber 1997), with the forget gate of PyTorch."""
    return Recurrent("lstm", LSTM, shape, classes, inputs, hidden=hidden, dropout=dropout)
