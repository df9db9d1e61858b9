"""The data set interface that the rest of the project uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Split(Protocol):
    """The training, validation or test samples of a data set."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def batches(
        self, batch_size: int, *, generator: torch.Generator | None = None, skip: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield normalized inputs (N, *shape) float32 and labels (N,) int64 on the data set's device.

        With a generator, samples are shuffled and augmented. Both draws happen when this method is called.
        An incomplete last batch is dropped unless it is the only one. Without a generator, every sample comes
        once, in order, without augmentation. The first `skip` batches are skipped without reading them.
        """

    def batch_count(self, batch_size: int) -> int:
        """Return the number of batches in a shuffled epoch."""

    def for_process(self, index: int, count: int) -> Split:
        """Return the view of process `index` out of `count`: its share of every batch.

        The length and the number of batches do not change.
        """


@dataclass(frozen=True)
class DataSet:
    """Labeled samples of shape (C, H, W) or (features,). `description` goes into the job's record."""

    name: str
    shape: tuple[int, ...]
    classes: int
    train: Split
    validation: Split
    test: Split
    description: dict[str, Any]

    def for_process(self, index: int, count: int) -> DataSet:
        """Return the data set as process `index` out of `count` sees it: its share of every batch."""
        return replace(
            self,
            train=self.train.for_process(index, count),
            validation=self.validation.for_process(index, count),
            test=self.test.for_process(index, count),
        )
