"""Layouts: how an error becomes rows for B_l, and how rows times B_l become a block's signal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from grape_bench.errors import UserError
from grape_bench.network.block import Block

SKETCH = "sketch"


class Layout(Protocol):
    """Turns errors (N, ..., n_out) into rows (R, n_out), and rows (R, features) into signals (N, *shape).

    `spread` preserves norms. The rows of B have norm one, so the signal has the same scale in every layout.
    """

    @property
    def features(self) -> int:
        """Columns of B."""

    def outputs(self, output_shape: tuple[int, ...]) -> int:
        """Rows of B, for errors of `output_shape` per sample."""

    def rows(self, error: Tensor) -> Tensor:
        """Turn an error (N, ..., n_out) into rows (R, n_out)."""

    def spread(self, rows: Tensor, shape: torch.Size) -> Tensor:
        """Turn rows (R, features) into a signal with the `shape` (N, *block.shape) of the block's output."""

    def row_count(self, shape: torch.Size) -> int:
        """R for a block's output of `shape`."""


@dataclass(frozen=True)
class Dense:
    """One number per (output, unit): B is n_out x n_l (Nøkland 2016)."""

    features: int

    def outputs(self, output_shape: tuple[int, ...]) -> int:
        """The number of values in a sample's error."""
        return math.prod(output_shape)

    def rows(self, error: Tensor) -> Tensor:
        """Flatten the error of each sample."""
        return error.flatten(1)

    def spread(self, rows: Tensor, shape: torch.Size) -> Tensor:
        """Reshape each row to the signal of one sample."""
        return _arranged(rows, shape)

    def row_count(self, shape: torch.Size) -> int:
        """One row per sample."""
        return shape[0]


@dataclass(frozen=True)
class PerToken:
    """The error of a position goes to the same position: B is n_out x width, shared by all (Launay et al. 2020).

    Positions are tokens, time steps, pixels or nodes. `channel` is the axis of the width in (N, *shape).
    """

    # Example: a language model with width 64, error (N, T, 64), block (N, T, 64), B (64, 64).
    #   rows(e) = (N T, 64);  rows @ B = (N T, 64);  spread reshapes to (N, T, 64), token by token.
    # Example: segmentation, error (N, H, W, 6), block (N, 8, H, W), channel = 1: spread moves the 8 to axis 1.

    features: int
    channel: int = -1

    def outputs(self, output_shape: tuple[int, ...]) -> int:
        """The number of values in a position's error."""
        return output_shape[-1]

    def rows(self, error: Tensor) -> Tensor:
        """One row per position."""
        return error.reshape(-1, error.shape[-1])

    def spread(self, rows: Tensor, shape: torch.Size) -> Tensor:
        """Arrange the rows as (N, *shape)."""
        last = list(shape)
        last.append(last.pop(self.channel))
        return _arranged(rows, torch.Size(last)).movedim(-1, self.channel)

    def row_count(self, shape: torch.Size) -> int:
        """One row per position."""
        return shape.numel() // self.features


@dataclass(frozen=True)
class PerChannel:
    """The same signal at every position: B is n_out x channels. `channel` is the channel axis of (N, *shape)."""

    # Example: block (N, 64, 8, 8), error (N, 10), B (10, 64).  rows(e) = e (N, 10);  e @ B = r (N, 64);
    #   spread(r) = r / sqrt(64 positions), as (N, 64, 1, 1), expanded to (N, 64, 8, 8).
    #   The norm is preserved: 64 positions x (r / 8)^2 = r^2.

    features: int
    channel: int

    def outputs(self, output_shape: tuple[int, ...]) -> int:
        """The number of values in a sample's error, or in a token's error."""
        return output_shape[-1]

    def rows(self, error: Tensor) -> Tensor:
        """One row per sample. The errors of several tokens are summed and divided by the square root of their count."""
        if error.dim() == 2:
            return error
        return error.flatten(1, -2).sum(1) / math.sqrt(error[0, ..., 0].numel())

    def spread(self, rows: Tensor, shape: torch.Size) -> Tensor:
        """Copy each channel's value to all positions, divided by the square root of the number of positions."""
        aligned = [1] * len(shape)
        aligned[0], aligned[self.channel] = shape[0], shape[self.channel]
        positions = math.prod(shape) // (shape[0] * shape[self.channel])
        return (rows / math.sqrt(positions)).reshape(aligned).expand(shape)

    def row_count(self, shape: torch.Size) -> int:
        """One row per sample."""
        return shape[0]


def _arranged(rows: Tensor, shape: torch.Size) -> Tensor:
    if rows.shape == shape:
        return rows
    if rows.numel() != shape.numel():
        raise unfit(shape)
    return rows.reshape(shape)


def unfit(shape: torch.Size) -> UserError:
    """The error to raise if a block's output has `shape`, but its feedback was drawn for another shape."""
    return UserError(
        f"the feedback was drawn for another shape than {tuple(shape)}, the shape of a block's output",
        allowed="samples with the shape of the example; the number of tokens may vary if input and output share it",
        hint='attach the rule with an example like this batch, or with feedback = "per-channel", which suits any size',
    )


@dataclass(frozen=True)
class LowRank:
    """B = U V of rank r: a fixed random U (n_out x r) compresses the error to r values, which V (r x features) expands.

    V is stored as the feedback. A rule that learns the Jacobian learns U^T J, the Jacobian of the compressed output. U
    is Gaussian with variance 1/r, so it preserves norms on average, and U U^T is the identity on average. (Hanut and
    Kadmon 2025 send the error back through every layer with such a B. Here it goes directly to the block.)
    """

    # Example: error (N, 1000), block (N, 4096), rank 32: U (1000, 32), V (32, 4096) instead of B (1000, 4096).
    #   rows(e) = e @ U (N, 32);  times V = (N, 4096).  163,072 values instead of 4,096,000.

    inner: Layout
    block: Block

    @property
    def features(self) -> int:
        """Columns of V."""
        return self.inner.features

    def outputs(self, output_shape: tuple[int, ...]) -> int:
        """Rows of V, the rank."""
        return self.block.load(SKETCH).shape[1]

    def rows(self, error: Tensor) -> Tensor:
        """Compress the rows of `inner` to (R, rank)."""
        sketch = self.block.load(SKETCH)
        return self.inner.rows(error).to(sketch.dtype) @ sketch

    def spread(self, rows: Tensor, shape: torch.Size) -> Tensor:
        """Spread rows (R, features) like `inner`."""
        return self.inner.spread(rows, shape)

    def row_count(self, shape: torch.Size) -> int:
        """R, as in `inner`."""
        return self.inner.row_count(shape)
