"""Feedback maps: how a matrix B_l stands between the network's error and a block's output."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from grape_bench.errors import UserError

DENSE_LIMIT = 2**20
"""Numbers (4 MiB in fp32) that a dense feedback matrix may always have, however small the network."""


class Layout(Protocol):
    """Errors (N, ..., n_out) as rows (R, n_out); row signals (R, features) as signals (N, *shape).

    `spread` has orthonormal rows, so a B with rows of norm one passes on the error's norm in every layout.
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
        """One row a sample."""
        return shape[0]


@dataclass(frozen=True)
class PerToken:
    """A token's error goes to the same token: B is n_out x width, shared by the tokens (Launay et al. 2020)."""

    features: int

    def outputs(self, output_shape: tuple[int, ...]) -> int:
        """A token's numbers."""
        return output_shape[-1]

    def rows(self, error: Tensor) -> Tensor:
        """One row a token."""
        return error.reshape(-1, error.shape[-1])

    def spread(self, rows: Tensor, shape: torch.Size) -> Tensor:
        """Tokens back in their places."""
        return _arranged(rows, shape)

    def row_count(self, shape: torch.Size) -> int:
        """One row a token."""
        return shape[0] * shape[1]


@dataclass(frozen=True)
class Shared:
    """The same signal at every position: B is n_out x channels. `channel` is the channels' axis, batch included."""

    features: int
    channel: int

    def outputs(self, output_shape: tuple[int, ...]) -> int:
        """A sample's, or a token's, numbers."""
        return output_shape[-1]

    def rows(self, error: Tensor) -> Tensor:
        """One row a sample; errors of several tokens are added up, with their norm kept."""
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
        """One row a sample."""
        return shape[0]


def _arranged(rows: Tensor, shape: torch.Size) -> Tensor:
    if rows.numel() != shape.numel():
        raise unfit(shape)
    return rows.reshape(shape)


def unfit(shape: torch.Size) -> UserError:
    """The error for a block's output of `shape`, to which feedback drawn for other shapes does not lead."""
    return UserError(
        f"the feedback does not fit a block's output of shape {tuple(shape)}",
        allowed="samples of the example's shape, or with as many tokens in as out where the example has",
        hint="attach with an example like this batch",
    )


def choose_layout(shape: tuple[int, ...], output_shape: tuple[int, ...], dense_limit: int) -> Layout:
    """The layout for a block of `shape` and errors of `output_shape` (both per sample).

    Per token where both have the same tokens; dense while the matrix has at most `dense_limit` numbers; shared
    over positions beyond.
    """
    if len(output_shape) == 2:
        same = len(shape) == 2 and shape[0] == output_shape[0]
        return PerToken(shape[-1]) if same else Shared(shape[-1], channel=len(shape))
    size = math.prod(shape)
    if size * math.prod(output_shape) <= dense_limit or len(shape) == 1:
        return Dense(size)
    axis = _channel_axis(shape)
    return Shared(shape[axis], channel=axis + 1)


def _channel_axis(shape: tuple[int, ...]) -> int:
    """Channels first for maps (C, H, W), last for tokens (T, C) and for (H, W, C)."""
    return 0 if len(shape) > 2 and shape[1] == shape[2] else len(shape) - 1


def draw_feedback(rows: int, features: int, generator: torch.Generator) -> Tensor:
    """A random B (rows x features): Gaussian, then each row divided by its norm."""
    drawn = torch.randn(rows, features, generator=generator)
    return drawn / drawn.norm(dim=1, keepdim=True)
