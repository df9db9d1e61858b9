"""Images that are decoded batch by batch, by worker processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from grape_bench.data.batches import Pass, Preparation, batch_count, in_order, shuffled
from grape_bench.data.decode import ImageForm, different_sizes, stack

MOST_WORKERS = 8


@dataclass(frozen=True)
class EncodedImages(Dataset[Tensor]):
    """Rows of a `datasets.Dataset` whose `column` holds images, decoded to `shape` (C, H, W) when asked for."""

    rows: Any
    column: str
    form: ImageForm
    shape: tuple[int, int, int]
    where: str

    def __getitem__(self, row: int) -> Tensor:
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: list[int]) -> Tensor:
        """Rows -> (N, C, H, W) uint8; raises UserError where an image has another size."""
        images = stack(self.rows[rows][self.column], self.form, where=self.where)
        if images.shape[1:] != self.shape:
            raise different_sizes(self.shape[1:], images.shape[2:], where=self.where)
        return torch.from_numpy(images)


@dataclass(frozen=True)
class StreamSplit:
    """The rows `index` (n,) of `images` and `labels` (N,), index and labels on the CPU; see `Split`."""

    images: EncodedImages
    labels: Tensor
    index: Tensor
    prepare: Preparation
    process: tuple[int, int] = (0, 1)  # whose part of each batch is given: its number, and of how many

    def __len__(self) -> int:
        return len(self.index)

    def part(self, index: int, count: int) -> StreamSplit:
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
        device = self.prepare.mean.device
        rows = [self.index[positions] for positions in order.positions.cpu().split(order.batch_size)]
        loader = DataLoader(
            self.images,
            batch_sampler=[batch.tolist() for batch in rows],
            num_workers=_workers(),
            collate_fn=_as_is,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # or the loader would draw from the global one, which dropout uses
        )
        for images, batch, drawn in zip(loader, rows, order.batched_draws(device), strict=True):
            inputs = self.prepare(images.to(device, non_blocking=True), drawn)
            yield inputs, self.labels[batch].to(device)


def _as_is(batch: Any) -> Any:
    return batch


def _workers() -> int:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, usable)
