"""Pull a signal back through a LayerNorm of the block's output."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

PullBack = Literal["none", "layernorm"]
EPS = 1e-5


def through_layernorm(signal: Tensor, output: Tensor, axis: int) -> Tensor:
    """Return J^T `signal`, where J is the derivative of a plain LayerNorm at `output`. Both are (N, *shape).

    The LayerNorm normalizes over channels, which lie on `axis`. Let z be its output and sigma its scale. The result is
    then (s - mean(s) - z mean(z s)) / sigma. This removes what the next LayerNorm ignores: the parts along the mean and
    along the output itself. They would make the residual stream grow without bound.
    """
    output = output.to(signal.dtype)
    centred = output - output.mean(axis, keepdim=True)
    sigma = (centred.square().mean(axis, keepdim=True) + EPS).sqrt()
    z = centred / sigma
    along = z * (z * signal).mean(axis, keepdim=True)
    return (signal - signal.mean(axis, keepdim=True) - along) / sigma
