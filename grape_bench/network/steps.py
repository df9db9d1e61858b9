"""Recurrent layers whose gradients stop between two steps, or stay within their unit."""

from __future__ import annotations

from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from grape_bench.network.block import Block
from grape_bench.network.recurrent import CELLS

Carry = Literal["all", "own", "nothing"]
"""Which gradients pass from one step to the next: all, only those within a unit ("own"), or none.

A unit carries over its leak, its membrane potential or its cell state. No recurrent weight is involved.
"""

Units = Literal["leaky", "spiking", "lstm", "gru", "rnn"]


@runtime_checkable
class Stepwise(Protocol):
    """A recurrent layer that runs its own steps, (N, steps, n_in) -> (N, steps, n_out).

    `units` is the kind of its units. `unrolled` returns the layer's own values, with the gradients that `carry` allows.
    """

    units: Units

    def unrolled(self, x: Tensor, carry: Carry) -> Tensor:
        """Return the outputs of all steps."""


def passed(state: Tensor, carry: Carry, *, own: bool) -> Tensor:
    """The `state` of a step as the next step reads it. `own` means that only its own unit reads it."""
    return state if carry == "all" or (carry == "own" and own) else state.detach()


def cell_of(block: Block) -> nn.Module | None:
    """The only recurrent layer in a block of (steps, width), or None."""
    found = [module for module in block.module.modules() if _units(module)]
    return found[0] if len(found) == 1 and len(block.shape) == 2 and block.calls == 1 else None


def units_of(cell: nn.Module) -> Units:
    """The kind of units of a cell."""
    units = _units(cell)
    assert units, "a cell that `cell_of` has found"
    return units


def unrolled(cell: nn.Module, x: Tensor, carry: Carry) -> Tensor:
    """The outputs (N, steps, n_out) of a cell, with the gradients between steps that `carry` allows."""
    if isinstance(cell, Stepwise):
        return cell.unrolled(x, carry)
    assert isinstance(cell, nn.RNNBase)
    name = {"LSTM": "lstm", "GRU": "gru", "RNN_TANH": "rnn_tanh", "RNN_RELU": "rnn_relu"}[cell.mode]
    weights: list[Any] = [*cell._flat_weights, None, None][:4]
    state = (x.new_zeros(len(x), cell.hidden_size),) * (2 if name == "lstm" else 1)
    outputs = []
    for x_t in x.unbind(1):
        # No weight reads the cell state of an LSTM, which is its second state.
        read = tuple(passed(one, carry, own=index == 1) for index, one in enumerate(state))
        state = CELLS[name](x_t, read, weights)
        outputs.append(state[0])
    return torch.stack(outputs, 1)


def _units(module: nn.Module) -> Units | None:
    if isinstance(module, Stepwise):
        return module.units
    if not isinstance(module, nn.RNNBase) or module.num_layers > 1 or module.bidirectional:
        return None
    if not module.batch_first or module.proj_size:
        return None
    kinds: dict[str, Units] = {"LSTM": "lstm", "GRU": "gru"}
    return kinds.get(module.mode, "rnn")
