"""The order of samples in a pass, and what happens to a batch on its way to the network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from grape_bench.data import augment


@dataclass(frozen=True)
class Pass:
    """Positions (n,) of the samples in order, and the randomness (3, n) of their augmentation, if any."""

    positions: Tensor
    draws: Tensor | None
    batch_size: int

    def after(self, batches: int) -> Pass:
        """The same without its first `batches`."""
        first = batches * self.batch_size
        draws = None if self.draws is None else self.draws[:, first:]
        return Pass(self.positions[first:], draws, self.batch_size)

    def part(self, index: int, count: int) -> Pass:
        """What process `index` of `count` has of it: every `count`-th sample, and so its part of each batch."""
        draws = None if self.draws is None else self.draws[:, index::count]
        return Pass(self.positions[index::count], draws, max(1, self.batch_size // count))

    def batched_draws(self, device: torch.device) -> list[Tensor | None]:
        """Per batch, the randomness of its augmentation, moved to `device` at once."""
        if self.draws is None:
            return [None] * -(-len(self.positions) // self.batch_size)
        return list(self.draws.to(device).split(self.batch_size, dim=1))


@dataclass(frozen=True)
class Preparation:
    """From stored samples to network inputs: augmentation where drawn, then (x - mean) / std in float32."""

    mean: Tensor
    std: Tensor
    augment: str

    def __call__(self, samples: Tensor, draws: Tensor | None) -> Tensor:
        """(N, *shape) as stored -> (N, *shape) float32."""
        if draws is not None:
            samples = augment.flip_crop(samples, draws)
        return samples.to(torch.float32).sub_(self.mean).div_(self.std)

    def plain(self) -> Preparation:
        """The same without augmentation, for validation and test."""
        return Preparation(self.mean, self.std, "none")


def batch_count(samples: int, batch_size: int) -> int:
    """Batches of a shuffled pass: the incomplete last one is left out unless it is the only one."""
    return max(1, samples // batch_size)


def in_order(samples: int, batch_size: int) -> Pass:
    """All samples, once, as they lie."""
    return Pass(torch.arange(samples), None, batch_size)


def shuffled(samples: int, batch_size: int, generator: torch.Generator, augmented: bool) -> Pass:
    """A random pass, drawn whole, so that a pass left half-way changes nothing of the next."""
    used = min(samples, batch_count(samples, batch_size) * batch_size)
    order = torch.randperm(samples, generator=generator, device=generator.device)[:used]
    draws = augment.draw(used, generator) if augmented else None
    return Pass(order, draws, batch_size)
