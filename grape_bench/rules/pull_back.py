"""Signals pulled back through a LayerNorm of the block's output."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from grape_bench.rules.layout import channel_axis

PullBack = Literal["none", "layernorm"]
EPS = 1e-5


def through_layernorm(signal: Tensor, output: Tensor) -> Tensor:
    """J^T `signal`, J being the derivative of a LayerNorm without parameters at `output`, both (N, *shape).

    It normalises over the channels. With z the normalised output and sigma its scale: (s - mean(s) - z mean(z s)) /
    sigma. What the next LayerNorm cannot see is gone: the parts along the mean and along the output itself, which
    make a residual stream grow without end.
    """
    axis = channel_axis(tuple(output.shape[1:])) + 1
    output = output.to(signal.dtype)
    centred = output - output.mean(axis, keepdim=True)
    sigma = (centred.square().mean(axis, keepdim=True) + EPS).sqrt()
    z = centred / sigma
    along = z * (z * signal).mean(axis, keepdim=True)
    return (signal - signal.mean(axis, keepdim=True) - along) / sigma
