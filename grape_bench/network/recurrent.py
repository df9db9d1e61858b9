"""LSTM, GRU and RNN written out as linear maps, sigmoid and tanh, which all have a forward derivative.

On CUDA, PyTorch computes these layers with fused kernels (its own or cuDNN's), which have no forward derivative. A
fused kernel also hides where its weights are used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

State = tuple[Tensor, ...]
Cell = Callable[[Tensor, State, list[Any]], State]


def lstm_cell(x: Tensor, state: State, weights: list[Any]) -> State:
    """Return (h, c) after one step. `x` is (N, inputs), `weights` are W_ih, W_hh, b_ih, b_hh with gates i, f, g, o."""
    h, c = state
    w_ih, w_hh, b_ih, b_hh = weights
    i, f, g, o = (F.linear(x, w_ih, b_ih) + F.linear(h, w_hh, b_hh)).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru_cell(x: Tensor, state: State, weights: list[Any]) -> State:
    """Return (h,) after one step. `x` is (N, inputs), `weights` are W_ih, W_hh, b_ih, b_hh with gates r, z, n."""
    (h,) = state
    w_ih, w_hh, b_ih, b_hh = weights
    x_r, x_z, x_n = F.linear(x, w_ih, b_ih).chunk(3, -1)
    h_r, h_z, h_n = F.linear(h, w_hh, b_hh).chunk(3, -1)
    z, n = (x_z + h_z).sigmoid(), (x_n + (x_r + h_r).sigmoid() * h_n).tanh()
    return ((1 - z) * n + z * h,)


def rnn_tanh_cell(x: Tensor, state: State, weights: list[Any]) -> State:
    """Return (h,) after one step. `x` is (N, inputs), `weights` are W_ih, W_hh, b_ih, b_hh."""
    return (_summed(x, state, weights).tanh(),)


def rnn_relu_cell(x: Tensor, state: State, weights: list[Any]) -> State:
    """Return (h,) after one step. `x` is (N, inputs), `weights` are W_ih, W_hh, b_ih, b_hh."""
    return (_summed(x, state, weights).relu(),)


def _summed(x: Tensor, state: State, weights: list[Any]) -> Tensor:
    w_ih, w_hh, b_ih, b_hh = weights
    return F.linear(x, w_ih, b_ih) + F.linear(state[0], w_hh, b_hh)


CELLS: dict[str, Cell] = {"lstm": lstm_cell, "gru": gru_cell, "rnn_tanh": rnn_tanh_cell, "rnn_relu": rnn_relu_cell}
STEPS = {f"{name}_cell": name for name in CELLS}
"""PyTorch's function names for one step -> those for a layer."""


def step(name: str, x: Tensor, state: Any, *weights: Tensor | None) -> Any:
    """Return what `torch.lstm_cell` (`name` = "lstm"), `torch.gru_cell` ("gru") or the like returns."""
    given = [*weights, *[None] * (4 - len(weights))]
    if name == "lstm":
        return lstm_cell(x, tuple(state), given)
    return CELLS[name](x, (state,), given)[0]


def is_written_out(name: str, args: tuple[Any, ...]) -> bool:
    """Whether `written_out` can replace the call of PyTorch's function `name`."""
    return name in STEPS or (name in CELLS and takes(args))


def written_out(name: str, args: tuple[Any, ...]) -> Any:
    """Return what PyTorch's function `name` returns: a layer ("lstm") or one step ("lstm_cell")."""
    return step(STEPS[name], *args) if name in STEPS else layers(name, args)


def matrices(name: str, args: tuple[Any, ...]) -> list[Tensor]:
    """The weights W_ih and W_hh among the arguments, without the biases."""
    given = args[2:] if name in STEPS else args[2]
    return [weight for weight in given if weight is not None and weight.dim() == 2]


def takes(args: tuple[Any, ...]) -> bool:
    """Whether `layers` can replace `torch.lstm(*args)` or similar: no packed sequence, no projections."""
    if len(args) != 9 or not isinstance(args[2], (list, tuple)) or isinstance(args[3], (list, tuple)):
        return False
    _, _, weights, biased, layer_count, _, _, bidirectional, _ = args
    expected: int = layer_count * (2 if bidirectional else 1) * (4 if biased else 2)
    return len(weights) == expected


def layers(name: str, args: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """Return what `torch.lstm` (output, h_n, c_n) or `torch.gru` (output, h_n) returns. `takes(args)` must hold."""
    # Example: a GRU with 1 layer, both directions, x (N=2, T=5, 3), hidden size 4, batch_first.
    #   weights: W_ih (12, 3), W_hh (12, 4), b_ih (12,), b_hh (12,) forward, then the same four backward
    #   x -> (5, 2, 3); forward and backward outputs (5, 2, 4) each -> output (2, 5, 8), h_n (2, 2, 4)
    x, initial, weights, biased, layer_count, dropout, training, bidirectional, batch_first = args
    starts = tuple(initial) if name == "lstm" else (initial,)
    per, directions = (4 if biased else 2), (2 if bidirectional else 1)
    x = x.transpose(0, 1) if batch_first else x  # (T, N, inputs)
    ends: list[State] = []
    for layer in range(layer_count):
        outputs = []
        for direction in range(directions):
            index = layer * directions + direction
            own = [*weights[index * per : (index + 1) * per], *[None] * (4 - per)]
            state = tuple(start[index] for start in starts)
            output, state = _direction(CELLS[name], x, state, own, reverse=direction == 1)
            outputs.append(output)
            ends.append(state)
        x = torch.cat(outputs, -1)
        if dropout and training and layer + 1 < layer_count:
            x = F.dropout(x, dropout)
    finals = tuple(torch.stack(parts) for parts in zip(*ends, strict=True))
    return (x.transpose(0, 1) if batch_first else x, *finals)


def _direction(cell: Cell, x: Tensor, state: State, weights: list[Any], *, reverse: bool) -> tuple[Tensor, State]:
    """Run one layer in one direction. Returns outputs (T, N, hidden) in the order of `x`, and the last state."""
    outputs: list[Tensor] = []
    for x_t in reversed(x.unbind()) if reverse else x.unbind():
        state = cell(x_t, state, weights)
        outputs.append(state[0])
    return torch.stack(outputs[::-1] if reverse else outputs), state
