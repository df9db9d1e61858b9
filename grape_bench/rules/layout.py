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
    """Errors (N, ..., n_out) as rows (R, n_out); row signals (R, features) as signals (N, *shape).

    `spread` keeps norms, so a B with rows of norm one passes the error's norm on in every layout.
    """

    @property
    def features(self) -> int:
        """Columns of B."""

    def outputs(self, output_shape: tuple[int, ...]) -> int:
        """Rows of B, for errors of `output_shape` per sample."""

    def rows(self, error: Tensor) -> Tensor:
        """(N, ..., n_out) -> (R, n_out)."""

    def spread(self, rows: Tensor, shape: torch.Size) -> Tensor:
        """(R, features) -> `shape`, that of the block's output."""

    def row_count(self, shape: torch.Size) -> int:
        """R for a block's output of `shape`."""


@dataclass(frozen=True)
class Dense:
    """One number per (output, unit): B is n_out x n_l (Nøkland 2016)."""

    features: int

    def outputs(self, output_shape: tuple[int, ...]) -> int:
        """Every number of a sample's error."""
        return math.prod(output_shape)

    def rows(self, error: Tensor) -> Tensor:
        """Errors flattened per sample."""
        return error.flatten(1)

    def spread(self, rows: Tensor, shape: torch.Size) -> Tensor:
        """Each row is one sample's signal."""
        return _arranged(rows, shape)

    def row_count(self, shape: torch.Size) -> int:
        """One row per sample."""
        return shape[0]


@dataclass(frozen=True)
class PerToken:
    """A token's error goes to the same token: B is n_out x width, shared by the tokens (Launay et al. 2020)."""

    features: int

    def outputs(self, output_shape: tuple[int, ...]) -> int:
        """A token's numbers."""
        return output_shape[-1]

    def rows(self, error: Tensor) -> Tensor:
        """One row per token."""
        return error.reshape(-1, error.shape[-1])

    def spread(self, rows: Tensor, shape: torch.Size) -> Tensor:
        """Tokens back in their places."""
        return _arranged(rows, shape)

    def row_count(self, shape: torch.Size) -> int:
        """One row per token."""
        return shape[0] * shape[1]


@dataclass(frozen=True)
class PerChannel:
    """The same signal at every position: B is n_out x channels. `channel` is the channels' axis, batch included."""

    # Example: block (N, 64, 8, 8), error (N, 10), B (10, 64).  rows(e) = e (N, 10);  e @ B = r (N, 64);
    #   spread(r) = r / sqrt(64 positions), as (N, 64, 1, 1), expanded to (N, 64, 8, 8).
    #   The norm is kept: 64 positions x (r / 8)^2 = r^2.

    features: int
    channel: int

    def outputs(self, output_shape: tuple[int, ...]) -> int:
        """A sample's, or a token's, numbers."""
        return output_shape[-1]

    def rows(self, error: Tensor) -> Tensor:
        """One row per sample. Errors of several tokens are summed and divided by the square root of their count."""
        if error.dim() == 2:
            return error
        return error.flatten(1, -2).sum(1) / math.sqrt(error[0, ..., 0].numel())

    def spread(self, rows: Tensor, shape: torch.Size) -> Tensor:
        """Each channel's number at all positions, divided by the square root of their count."""
        aligned = [1] * len(shape)
        aligned[0], aligned[self.channel] = shape[0], shape[self.channel]
        positions = math.prod(shape) // (shape[0] * shape[self.channel])
        return (rows / math.sqrt(positions)).reshape(aligned).expand(shape)

    def row_count(self, shape: torch.Size) -> int:
        """One row per sample."""
        return shape[0]


def _arranged(rows: Tensor, shape: torch.Size) -> Tensor:
    if rows.numel() != shape.numel():
        raise unfit(shape)
    return rows.reshape(shape)


def unfit(shape: torch.Size) -> UserError:
    """The error for a block's output of `shape`, if the feedback was drawn for another shape."""
    return UserError(
        f"the feedback does not fit a block's output of shape {tuple(shape)}",
        allowed="samples of the example's shape, or with as many tokens in as out where the example has",
        hint="attach with an example like this batch",
    )


@dataclass(frozen=True)
class LowRank:
    """B = U V of rank r: a fixed random U (n_out x r) sketches the error to r numbers, then V (r x features) applies.

    V is stored as the feedback. A rule that learns the Jacobian learns that of the sketched output, U^T J. U is
    Gaussian with variance 1/r, so the sketch keeps norms on average, and U U^T is the identity on average. (Hanut and
    Kadmon 2025 send the error back through every layer with such a B; here it goes directly to the block.)
    """

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
        """The sketches of the rows of `inner`."""
        sketch = self.block.load(SKETCH)
        return self.inner.rows(error).to(sketch.dtype) @ sketch

    def spread(self, rows: Tensor, shape: torch.Size) -> Tensor:
        """(R, features) -> `shape`, by `inner`."""
        return self.inner.spread(rows, shape)

    def row_count(self, shape: torch.Size) -> int:
        """R, by `inner`."""
        return self.inner.row_count(shape)


def channel_axis(shape: tuple[int, ...]) -> int:
    """Channels first for maps (C, H, W), last for tokens (T, C) and for (H, W, C)."""
    return 0 if len(shape) > 2 and shape[1] == shape[2] else len(shape) - 1
