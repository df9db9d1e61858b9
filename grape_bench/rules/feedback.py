"""Feedback: the matrix B_l that maps the network's error to a block's output, and how it is stored."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from grape_bench.network.block import PREFIX, Block
from grape_bench.network.rule import Kept
from grape_bench.rules.layout import Layout

FEEDBACK, SEED = "feedback", "feedback_seed"
CHUNK = 2**20  # entries of a seeded B that are in memory at a time


class Matrix(Protocol):
    """B_l (n_out x features), with rows of norm one."""

    def back(self, rows: Tensor) -> Tensor:
        """Multiply each row by B: (R, n_out) -> (R, features)."""


@dataclass(frozen=True)
class Stored:
    """All of B, in a buffer of the block."""

    block: Block

    def back(self, rows: Tensor) -> Tensor:
        """Multiply by the stored matrix."""
        feedback = self.block.load(FEEDBACK)
        return rows.to(feedback.dtype) @ feedback


@dataclass(frozen=True)
class Slice:
    """The first `outputs` rows and `features` columns of one Gaussian matrix that all blocks share.

    Rows have norm one on average (Launay et al. 2019, 2020).
    """

    owner: Block
    outputs: int
    features: int

    def back(self, rows: Tensor) -> Tensor:
        """Multiply by the slice."""
        shared = self.owner.load(FEEDBACK)
        return rows.to(shared.dtype) @ shared[: self.outputs, : self.features] / math.sqrt(self.features)


@dataclass
class Seeded:
    """Stores only a seed. Each signal draws B again, at most `CHUNK` entries at a time.

    The entries are random signs ÷ sqrt(features). They take one random bit each and are the same on every device. The
    seed is a buffer, so it saves and moves with the model. Reading it from a GPU would synchronize, so `_read` caches
    it on the host, together with the buffer and the buffer's version.
    """

    block: Block
    outputs: int
    features: int
    _read: tuple[Tensor, int, int] | None = field(default=None, repr=False)

    @classmethod
    def drawn(cls, block: Block, shape: tuple[int, int], generator: torch.Generator) -> Seeded:
        """Draw a seed on the CPU and store it at `block`. `shape` is that of B (n_out x features)."""
        seed = torch.randint(2**62, (), generator=generator)
        block.store(SEED, seed)
        buffer = block.load(SEED)
        return cls(block, *shape, (buffer, buffer._version, int(seed)))

    @property
    def seed(self) -> int:
        """The seed in the buffer. It is read from the device only after a load or a move has changed the buffer."""
        buffer = self.block.load(SEED)
        if self._read is None or self._read[0] is not buffer or self._read[1] != buffer._version:
            number = 0 if buffer.is_meta else int(buffer)  # a meta tensor has no data, so any seed will do
            self._read = buffer, buffer._version, number
        return self._read[2]

    def back(self, rows: Tensor) -> Tensor:
        """Compute the columns of the product, one chunk of B at a time."""
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        return torch.cat([rows @ drawn for _, drawn in self.chunks(rows)], dim=1)

    def chunks(self, like: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Yield (first column, columns of B) from left to right, with the device and type of `like`."""
        # Example: B (100 x 25,000) has 2.5 million numbers, and CHUNK is 1,048,576: chunks of 10,485 columns.
        #   yields (0, (100, 10485)), (10485, (100, 10485)), (20970, (100, 4030)), each drawn from (seed, first column)
        seed = self.seed
        width = max(1, CHUNK // self.outputs)
        for start in range(0, self.features, width):
            columns = min(width, self.features - start)
            signs = random_signs((seed, start), self.outputs * columns).to(like.device, like.dtype)
            yield start, signs.reshape(self.outputs, columns) / math.sqrt(self.features)


def all_finite(matrices: Tensor) -> Tensor:
    """Whether each of the `matrices` (..., rows, columns) has only finite numbers: (..., 1, 1) on their device.

    Feedback that learns keeps its last value otherwise. A batch with NaN would stay in it for good, although the
    training loop skips the step. An `if` would synchronize with the GPU.
    """
    largest: Tensor = torch.linalg.vector_norm(matrices, math.inf, (-2, -1), keepdim=True)
    return largest < math.inf  # not if it is NaN


def random_signs(seed: tuple[int, ...], count: int) -> Tensor:
    """Draw `count` numbers from {-1, 1} (int8, on the CPU), one random bit each."""
    words = np.random.SFC64(seed).random_raw(-(-count // 64)).astype("<u8")
    bits = np.unpackbits(words.view(np.uint8), count=count)
    return torch.from_numpy(bits.view(np.int8)).mul_(2).sub_(1)


@dataclass(frozen=True)
class FeedbackMap:
    """Maps the error to a block's signal: `layout` makes rows, `matrix` multiplies them. `kind` is only displayed."""

    block: Block
    layout: Layout
    matrix: Matrix
    kind: str
    shape: tuple[int, int]

    def project(self, error: Tensor, shape: torch.Size) -> Tensor:
        """Return B_l^T e in the `shape` (N, *block.shape) of the block's output."""
        return self.layout.spread(self.matrix.back(self.layout.rows(error)), shape)

    def scores(self, output: Tensor, shape: torch.Size) -> Tensor:
        """Return B_l h_l in the `shape` (N, ..., n_out) of an error: the transpose of `project`, by autograd."""
        with torch.enable_grad():
            error = output.new_zeros(shape, requires_grad=True)
            signal = self.project(error, output.shape)
            (scores,) = torch.autograd.grad(signal, error, output.to(signal.dtype), create_graph=True)
        return scores

    @property
    def kept(self) -> Kept:
        """The size of the block's buffers. A shared matrix counts once, at the block that stores it."""
        buffers = [buffer for name, buffer in self.block.module._buffers.items() if name.startswith(PREFIX)]
        return Kept(self.kind, self.shape, sum(buffer.numel() for buffer in buffers if buffer is not None))
