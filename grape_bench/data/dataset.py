"""The data set interface that the rest of the project uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from grape_bench.objectives.target import ONE_CLASS, Target

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from grape_bench.network.trace import Batch

Example = tuple["Batch", "Tensor"]
"""One batch: the arguments of the model as (args, kwargs), and the target."""


class Split(Protocol):
    """The training, validation or test samples of a data set."""

    def __len__(self) -> int:
        """Return the number of scored targets: images, tokens, labeled nodes."""

    def batches(self, batch_size: int, *, generator: torch.Generator | None = None, skip: int = 0) -> Iterator[Example]:
        """Yield ((args, kwargs), target) on the data set's device. The model is called as model(*args, **kwargs).

        Images and signals are ((inputs,), {}) with inputs (N, *shape) float32, tokens are ((), {"input_ids": ids}), and
        a graph is ((features, edges), {}). Class targets are int64, and `IGNORED` where they do not count. Value
        targets are float32 and have the shape of the model's output.

        With a generator, samples are shuffled and augmented. Both draws happen when this method is called. An
        incomplete last batch is dropped unless it is the only one. Without a generator, every sample comes once, in
        order, without augmentation. The first `skip` batches are skipped without reading them.
        """

    def targets(self) -> Iterator[Tensor]:
        """Yield every target once, in order and in batches of any size, without reading the inputs.

        Every process gets all targets.
        """

    def batch_count(self, batch_size: int) -> int:
        """Return the number of batches in a shuffled epoch."""

    def for_process(self, index: int, count: int) -> Split:
        """Return process `index`'s view out of `count`: its share of every batch.

        The length and the number of batches do not change.
        """


@dataclass(frozen=True)
class DataSet:
    """Samples with targets. `description` goes into the job's record.

    `shape` is the shape of one sample: (C, H, W), (features,) or (length,). `classes` is the number of classes, or 0 if
    the targets are values. `vocabulary` is the number of token ids, or 0 if the inputs are not tokens. `objective` is
    used if the suite names none. `target` describes the targets. `mixed` means that shuffled training batches have
    mixed samples, so their targets are class probabilities (N, classes).
    """

    name: str
    shape: tuple[int, ...]
    classes: int
    train: Split
    validation: Split
    test: Split
    description: dict[str, Any]
    objective: str = "classification"
    target: Target = ONE_CLASS
    vocabulary: int = 0
    mixed: bool = False

    def for_process(self, index: int, count: int) -> DataSet:
        """Return the view of process `index` out of `count`: its share of every batch."""
        return replace(
            self,
            train=self.train.for_process(index, count),
            validation=self.validation.for_process(index, count),
            test=self.test.for_process(index, count),
        )
