"""What an objective reads from a data set: the size and unit of its targets, and the training targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = -100
"""The class of a target that does not count: padding, or a node of another split (PyTorch's `ignore_index`)."""


@dataclass(frozen=True)
class Target:
    """The targets of a data set.

    `size` is how many numbers a target has, and 1 for a class. `unit` is what `len(split)` counts: "sample", "token",
    "character", "node", "pixel". `scale` is the standard deviation of standardized values, one per number. It converts
    errors back to the data's own units. Empty if the values are not standardized.
    """

    size: int = 1
    unit: str = "sample"
    scale: tuple[float, ...] = ()


ONE_CLASS = Target()
"""One class per sample."""


class TargetSplit(Protocol):
    """A split whose targets can be read without its inputs."""

    def targets(self) -> Iterator[Tensor]:
        """Yield every target once, in batches of any size."""


class TargetData(Protocol):
    """The part of a data set that objectives read. `classes` is 0 if the targets are values."""

    @property
    def classes(self) -> int:
        """The number of classes."""

    @property
    def target(self) -> Target:
        """The description of the targets."""

    @property
    def train(self) -> TargetSplit:
        """The training split."""
