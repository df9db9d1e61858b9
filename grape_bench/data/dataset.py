"""What a data set is to the rest of the project."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Split(Protocol):
    """Training, validation or test samples."""

    def __len__(self) -> int:
        """How many samples."""

    def batches(
        self, batch_size: int, *, generator: torch.Generator | None = None, skip: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs (N, *shape) float32, normalised, and labels (N,) int64, on the data set's device.

        With a generator: in random order and augmented, both drawn from it when this is called; an
        incomplete last batch is left out unless it is the only one. Without: all, in order, as they are.
        The first `skip` batches are left out and not even read; the others are what they would be without.
        """

    def batch_count(self, batch_size: int) -> int:
        """How many batches a shuffled pass has."""

    def part(self, index: int, count: int) -> Split:
        """What process `index` of `count` is given: its part of each batch. Length and number of batches stay."""


@dataclass(frozen=True)
class DataSet:
    """Labelled samples of `shape` (C, H, W) or (features,); `description` is for the record."""

    name: str
    shape: tuple[int, ...]
    classes: int
    train: Split
    validation: Split
    test: Split
    description: dict[str, Any]

    def part(self, index: int, count: int) -> DataSet:
        """The same for process `index` of `count`: every batch holds its part of the joint one."""
        splits = {name: getattr(self, name).part(index, count) for name in ("train", "validation", "test")}
        return replace(self, **splits)
