"""Small data sets with targets that can be counted by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from grape_bench.objectives.target import ONE_CLASS, Target


@dataclass(frozen=True)
class Targets:
    """A split of targets."""

    batches: list[Tensor]

    def targets(self) -> Iterator[Tensor]:
        yield from self.batches


@dataclass(frozen=True)
class Data:
    """What an objective reads of a data set."""

    classes: int
    train: Targets
    target: Target = field(default=ONE_CLASS)


def classes(*labels: list[int], of: int, unit: str = "sample") -> Data:
    """Batches of classes."""
    return Data(of, Targets([torch.tensor(batch) for batch in labels]), Target(unit=unit))


def values(rows: list[list[float]], scale: tuple[float, ...] = ()) -> Data:
    """One batch of values."""
    return Data(0, Targets([torch.tensor(rows)]), Target(size=len(rows[0]), scale=scale))
