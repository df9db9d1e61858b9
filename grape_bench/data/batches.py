"""Batches of a split: sample order, augmentation, normalization, and where the samples are stored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from typing_extensions import override

from grape_bench.data.augment import Augmentation, augmented
from grape_bench.data.dataset import Example
from grape_bench.data.mix import Mix
from grape_bench.errors import UserError

PADDING = 4
MAX_WORKERS = 8


@dataclass(frozen=True)
class EpochOrder:
    """The sample positions (n,) of one epoch in order, and the random draws (3, n) of their augmentation, if any."""

    positions: Tensor
    draws: Tensor | None
    batch_size: int

    def skip(self, batches: int) -> EpochOrder:
        """Drop the first `batches` batches."""
        first = batches * self.batch_size
        draws = None if self.draws is None else self.draws[:, first:]
        return EpochOrder(self.positions[first:], draws, self.batch_size)

    def for_process(self, index: int, count: int) -> EpochOrder:
        """Keep every `count`-th sample, starting at `index`. Each process then holds its share of every batch."""
        # positions [7 2 5 0 | 3 6 1 4], batch_size 4, count 2:
        #   process 0 gets [7 5 | 3 1] in batches of 2,
        #   process 1 gets [2 0 | 6 4]; their batches together are the joint batches.
        draws = None if self.draws is None else self.draws[:, index::count]
        return EpochOrder(self.positions[index::count], draws, max(1, self.batch_size // count))

    def batched_draws(self, device: torch.device) -> list[Tensor | None]:
        """Return the augmentation draws of each batch. They move to `device` in one copy."""
        if self.draws is None:
            return [None] * -(-len(self.positions) // self.batch_size)
        return list(torch.split(self.draws.to(device), self.batch_size, dim=1))


def batch_count(samples: int, batch_size: int) -> int:
    """Return the number of batches in a shuffled epoch. It drops an incomplete last batch, except the only one."""
    return max(1, samples // batch_size)


def in_order(samples: int, batch_size: int) -> EpochOrder:
    """Return the order in which every sample comes once, as stored."""
    return EpochOrder(torch.arange(samples), None, batch_size)


def shuffled(samples: int, batch_size: int, generator: torch.Generator, transform: Transform | None) -> EpochOrder:
    """Draw a random order for a whole epoch at once, so that stopping midway does not affect the next epoch."""
    used = min(samples, batch_count(samples, batch_size) * batch_size)
    order = torch.randperm(samples, generator=generator, device=generator.device)[:used]
    draws = transform.draw(used, generator) if transform and transform.augments else None
    return EpochOrder(order, draws, batch_size)


def draw_augmentation(samples: int, generator: torch.Generator) -> Tensor:
    """Draw the augmentation of one epoch: (3, samples) int64.

    The rows are the offset down, the offset right (both 0..8), and the flip (0 or 1).
    """
    highs = (2 * PADDING + 1, 2 * PADDING + 1, 2)
    device = generator.device
    return torch.stack([torch.randint(high, (samples,), generator=generator, device=device) for high in highs])


def flip_crop(images: Tensor, draws: Tensor) -> Tensor:
    """Pad each image with 4 reflected pixels, crop it back to its size at its offset, and mirror it if its flip is 1.

    `images` is (N, C, H, W) of any dtype with H and W above 4. `draws` is (3, N), on the same device. Source: He et al.
    2016, section 4.2 (which pads with zeros).
    """
    # One gather per batch instead of a loop over images. For a row of width 8 and offset 1:
    #   padded columns:  4 3 2 1 | 0 1 2 3 4 5 6 7 | 6 5 4 3
    #   crop at 1:       3 2 1 0 1 2 3 4, and with flip = 1: 4 3 2 1 0 1 2 3
    height, width = images.shape[2:]
    down, right, flip = draws
    rows = _window(down, height)
    columns = _window(right, width)
    columns = torch.where(flip[:, None] == 1, columns.flip(1), columns)
    source = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)
    return images.flatten(2).gather(2, source[:, None].expand(-1, images.shape[1], -1)).view(images.shape)


def _window(offset: Tensor, size: int) -> Tensor:
    """Map offsets (N,) into the padded axis to positions (N, size) on the original axis."""
    position = (offset[:, None] - PADDING + torch.arange(size, device=offset.device)).abs()
    return torch.where(position < size, position, 2 * (size - 1) - position)


@dataclass(frozen=True)
class Transform:
    """Converts stored samples to network inputs: augmentation if drawn, then (x - mean) / std in float32.

    `mean` and `std` broadcast against a batch: (C, 1, 1) for images, () for signals. `functions` are further
    augmentations, called in order. `mix` mixes normalized samples and their labels.
    """

    mean: Tensor
    std: Tensor
    augment: str
    functions: tuple[Augmentation, ...] = ()
    mix: Mix | None = None

    @property
    def augments(self) -> bool:
        """Whether shuffled samples are augmented."""
        return self.augment != "none" or bool(self.functions) or self.mix is not None

    def draw(self, samples: int, generator: torch.Generator) -> Tensor:
        """Draw the augmentation of one epoch: (3, samples), with a fourth row of seeds for functions and mixes."""
        draws = draw_augmentation(samples, generator)
        if not self.functions and self.mix is None:
            return draws
        seeds = torch.randint(2**62, (1, samples), generator=generator, device=generator.device)
        return torch.cat([draws, seeds])

    def __call__(self, samples: Tensor, labels: Tensor, draws: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map stored samples (N, *shape) to inputs (N, *shape) float32, with their labels. `mix` mixes both."""
        if draws is not None and self.augment == "flip-crop":
            samples = flip_crop(samples, draws[:3])
        if draws is not None:
            for number, function in enumerate(self.functions):
                samples = augmented(samples, function, int(draws[3, 0]) + number)
        inputs = samples.to(torch.float32).sub_(self.mean).div_(self.std)
        return (inputs, labels) if draws is None or not self.mix else self.mix(inputs, labels, int(draws[3, 0]))

    def without_augmentation(self) -> Transform:
        """Return the transform for validation and test."""
        return Transform(self.mean, self.std, "none")


@dataclass(frozen=True, kw_only=True)
class StoredSplit(ABC):
    """The rows `index` (n,) of a store of samples with `labels` (N,). See `Split` for the methods.

    A subclass defines where the samples are stored and reads them.
    """

    labels: Tensor
    index: Tensor
    transform: Transform
    process: tuple[int, int] = (0, 1)  # this process's index, and the number of processes that share each batch

    def __len__(self) -> int:
        return len(self.index)

    def for_process(self, index: int, count: int) -> Self:
        """See `Split.for_process`."""
        return replace(self, process=(index, count))

    def batch_count(self, batch_size: int) -> int:
        """See `Split.batch_count`."""
        return batch_count(len(self), batch_size)

    def targets(self) -> Iterator[Tensor]:
        """See `Split.targets`."""
        yield self.labels[self.index]

    def batches(self, batch_size: int, *, generator: torch.Generator | None = None, skip: int = 0) -> Iterator[Example]:
        """See `Split.batches`."""
        if generator is None:
            order = in_order(len(self), batch_size)
        else:
            order = shuffled(len(self), batch_size, generator, self.transform)
        order = order.skip(skip).for_process(*self.process)
        # torch would split an empty order into one empty batch.
        read = self._read(order) if len(order.positions) else iter(())
        return ((((inputs,), {}), labels) for inputs, labels in read)

    @abstractmethod
    def _read(self, order: EpochOrder) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the inputs and labels of each batch of a nonempty order."""


@dataclass(frozen=True, kw_only=True)
class ArraySplit(StoredSplit):
    """A split of `samples` (N, *shape) in the device's memory, with labels and index on the same device.

    Splits of the same array share it. Only their indices differ.
    """

    samples: Tensor

    @override
    def _read(self, order: EpochOrder) -> Iterator[tuple[Tensor, Tensor]]:
        # index [4 9 7 2] (the split's rows of `samples`), positions [2 0 3 1], batch_size 2:
        #   rows of the first batch [7 4], of the second [2 9];
        #   each batch is samples[rows] (2, *shape) and labels[rows] (2,).
        device = self.index.device
        batches = torch.split(self.index[order.positions.to(device)], order.batch_size)
        for rows, draws in zip(batches, order.batched_draws(device), strict=True):
            yield self.transform(self.samples.index_select(0, rows), self.labels[rows], draws)


@dataclass(frozen=True, kw_only=True)
class OnDemandSplit(StoredSplit):
    """A split of `images` that worker processes decode batch by batch, with labels and index on the CPU.

    Batches end up on the device of the transform.
    """

    images: Dataset[Tensor | UserError]

    @override
    def _read(self, order: EpochOrder) -> Iterator[tuple[Tensor, Tensor]]:
        device = self.transform.mean.device
        every = self.index[order.positions.cpu()]
        rows = torch.split(every, order.batch_size)
        # One copy for the whole pass, because a copy per batch from unpinned memory would synchronize at every step.
        labels = torch.split(self.labels[every].to(device), order.batch_size)
        loader = DataLoader(
            self.images,
            batch_sampler=[batch.tolist() for batch in rows],
            num_workers=min(MAX_WORKERS, torch.get_num_threads()),  # this job's share of the cores
            collate_fn=_keep_batch,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # otherwise the loader draws from the global generator, which dropout uses
        )
        for images, own, draws in zip(loader, labels, order.batched_draws(device), strict=True):
            if isinstance(images, UserError):
                raise images
            yield self.transform(images.to(device, non_blocking=True), own, draws)


def _keep_batch(batch: Any) -> Any:
    return batch
