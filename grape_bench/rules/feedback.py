"""Feedback: the matrix B_l from the network's error to a block's output, and how it is kept."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from grape_bench.network.block import PREFIX, Block
from grape_bench.network.rule import Kept
from grape_bench.rules.layout import Layout

FEEDBACK, SEED = "feedback", "feedback_seed"
CHUNK = 2**20  # a seeded B exists in chunks of this many numbers


class Matrix(Protocol):
    """B_l (rows x features), its rows of norm one."""

    def back(self, rows: Tensor) -> Tensor:
        """(R, rows of B) -> (R, features): each row times B."""


@dataclass(frozen=True)
class Stored:
    """All of B in a buffer of the block."""

    block: Block

    def back(self, rows: Tensor) -> Tensor:
        """One product."""
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
        """One product with the slice."""
        shared = self.owner.load(FEEDBACK)
        return rows.to(shared.dtype) @ shared[: self.outputs, : self.features] / math.sqrt(self.features)


@dataclass(frozen=True)
class Seeded:
    """Only a seed is kept. Each signal draws B again, at most `CHUNK` numbers at a time.

    The entries are random signs ÷ sqrt(features). They need one bit each and are the same on every device.
    """

    block: Block
    outputs: int
    features: int

    def back(self, rows: Tensor) -> Tensor:
        """The columns of the product, some at a time."""
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        return torch.cat([rows @ drawn for _, drawn in self.chunks(rows)], dim=1)

    def chunks(self, like: Tensor) -> Iterator[tuple[int, Tensor]]:
        """(first column, those columns of B) from the left to the right, on the device and of the type of `like`."""
        seed = int(self.block.load(SEED))
        width = max(1, CHUNK // self.outputs)
        for start in range(0, self.features, width):
            columns = min(width, self.features - start)
            signs = random_signs((seed, start), self.outputs * columns).to(like.device, like.dtype)
            yield start, signs.reshape(self.outputs, columns) / math.sqrt(self.features)


def random_signs(seed: tuple[int, ...], count: int) -> Tensor:
    """`count` numbers of -1 and 1 (int8, on the CPU), a random bit each."""
    words = np.random.SFC64(seed).random_raw(-(-count // 64)).astype("<u8")
    bits = np.unpackbits(words.view(np.uint8), count=count)
    return torch.from_numpy(bits.view(np.int8)).mul_(2).sub_(1)


@dataclass(frozen=True)
class FeedbackMap:
    """From the error to a block's signal: `layout` makes rows, `matrix` multiplies them. `kind` is the name."""

    block: Block
    layout: Layout
    matrix: Matrix
    kind: str
    shape: tuple[int, int]

    def project(self, error: Tensor, shape: torch.Size) -> Tensor:
        """B_l^T e for a block's output of `shape`."""
        return self.layout.spread(self.matrix.back(self.layout.rows(error)), shape)

    def scores(self, output: Tensor, shape: torch.Size) -> Tensor:
        """B_l h_l, shaped like an error of `shape`: the transpose of `project`."""
        with torch.enable_grad():
            error = output.new_zeros(shape, requires_grad=True)
            signal = self.project(error, output.shape)
            (scores,) = torch.autograd.grad(signal, error, output.to(signal.dtype), create_graph=True)
        return scores

    @property
    def kept(self) -> Kept:
        """The size of the block's buffers. A shared matrix counts once, at the block that holds it."""
        buffers = [buffer for name, buffer in self.block.module._buffers.items() if name.startswith(PREFIX)]
        return Kept(self.kind, self.shape, sum(buffer.numel() for buffer in buffers if buffer is not None))
