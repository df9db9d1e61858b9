"""Samples that lie whole in the device's memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from grape_bench.data.batches import Pass, Preparation, batch_count, in_order, shuffled


@dataclass(frozen=True)
class ArraySplit:
    """The rows `index` (n,) of `samples` (N, *shape) and `labels` (N,), all on one device; see `Split`.

    Splits cut from one array share it: only the indices differ.
    """

    samples: Tensor
    labels: Tensor
    index: Tensor
    prepare: Preparation
    process: tuple[int, int] = (0, 1)  # whose part of each batch is given: its number, and of how many

    def __len__(self) -> int:
        return len(self.index)

    def part(self, index: int, count: int) -> ArraySplit:
        """See `Split.part`."""
        return replace(self, process=(index, count))

    def batch_count(self, batch_size: int) -> int:
        """How many batches a shuffled pass has."""
        return batch_count(len(self), batch_size)

    def batches(
        self, batch_size: int, *, generator: torch.Generator | None = None, skip: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Split.batches`."""
        if generator is None:
            return self._run(in_order(len(self), batch_size).after(skip))
        return self._run(shuffled(len(self), batch_size, generator, self.prepare.augment != "none").after(skip))

    def _run(self, order: Pass) -> Iterator[tuple[Tensor, Tensor]]:
        order = order.part(*self.process)
        if len(order.positions) == 0:  # which torch would split into one batch of none
            return
        device = self.index.device
        batches = self.index[order.positions.to(device)].split(order.batch_size)
        for rows, drawn in zip(batches, order.batched_draws(device), strict=True):
            yield self.prepare(self.samples.index_select(0, rows), drawn), self.labels[rows]
