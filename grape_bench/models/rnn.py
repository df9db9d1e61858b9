"""Networks of leaky rate units."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from grape_bench.models.arguments import Rate, Widths
from grape_bench.models.inputs import Inputs
from grape_bench.models.recurrent import Recurrent
from grape_bench.network.steps import Carry, Units, passed

Activation = Literal["tanh", "relu"]
Leak = Annotated[float, Field(gt=0, le=1, description="a number above 0, up to 1")]


class LeakyCell(nn.Module):
    """h_t = (1 - a) h_{t-1} + a f(W h_{t-1} + U x_t + b). f is tanh or ReLU, a is the `leak`, and h_0 is zero."""

    units: Units = "leaky"

    def __init__(self, n_in: int, n_out: int, leak: float, activation: Activation) -> None:
        super().__init__()
        self.inputs = nn.Linear(n_in, n_out)
        self.recurrent = nn.Linear(n_out, n_out, bias=False)
        self.leak, self.activation = leak, getattr(torch, activation)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map all steps: (N, length, n_in) -> the states (N, length, n_out), and the last state."""
        states = self.unrolled(x, "all")
        return states, states[:, -1]

    def unrolled(self, x: Tensor, carry: Carry) -> Tensor:
        """Return the states. See `Stepwise`."""
        driven = self.inputs(x)
        state, states = torch.zeros_like(driven[:, 0]), []
        for drive in driven.unbind(1):
            new = self.activation(drive + self.recurrent(passed(state, carry, own=False)))
            state = (1 - self.leak) * passed(state, carry, own=True) + self.leak * new
            states.append(state)
        return torch.stack(states, 1)


def rnn(
    shape: tuple[int, ...],
    classes: int,
    inputs: Inputs,
    hidden: Widths = (128, 128),
    dropout: Rate = 0.0,
    leak: Leak = 0.1,
    activation: Activation = "tanh",
) -> Recurrent:
    """Layers of leaky rate units (Jaeger et al. 2007), with the leak of Murray (2019)."""
    cell = partial(LeakyCell, leak=leak, activation=activation)
    return Recurrent("rnn", cell, shape, classes, inputs, hidden=hidden, dropout=dropout)
