"""What every learning rule is asked, in the order of training."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from grape_bench.network.passes import Pass

if TYPE_CHECKING:
    from grape_bench.network.network import Credit, Network
    from grape_bench.network.trace import Batch


@dataclass(frozen=True)
class Kept:
    """How some feedback is kept: in words, the shape of B, and the numbers in memory for it."""

    kind: str
    shape: tuple[int, ...]
    numbers: int

    def __str__(self) -> str:
        return f"{self.kind} {' × '.join(map(str, self.shape))}".rstrip()


class LearningRule:
    """The bare contract. This one is backpropagation: every pass is the model's own.

    A rule's settings are the arguments of its `__init__`; it keeps tensors in the network's blocks
    (`block.store`), so that they move, save and copy with the model, and draws from `network.generator`. Counters and
    the like are plain attributes, which `state` finds.

    `weight_transport` and `bp_fraction` declare what a rule takes from backpropagation; a class inherits what
    holds for its family, and `grape-bench check` compares both with what it measures.
    """

    weight_transport: ClassVar[bool] = True
    """Whether the backward signal reads the forward weights: with the error, the activations and the rule's
    feedback held fixed, the signal at some block changes with the weights downstream of it."""

    def bp_fraction(self, batches: int, epochs: int) -> float:
        """Passes through hidden blocks ÷ backpropagation's, in `epochs` epochs of `batches` training steps."""
        return 1.0

    @property
    def at_scores(self) -> bool:
        """Whether the error is needed at the scores, even where they are those of a large vocabulary."""
        return False

    def setup(self, network: Network) -> None:
        """Once, when attached: draw the feedback."""

    def begin_epoch(self, network: Network, batches: int) -> None:
        """Before the first of an epoch's `batches` training steps."""

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Before each training forward on `batch`: how this pass and its backward go."""
        return Pass()

    def kept_feedback(self, network: Network) -> dict[str, Kept]:
        """Name of a block (or of a weight, where feedback belongs to weights) -> how its feedback is kept."""
        return {}

    @property
    def period(self) -> int:
        """Training steps after which the rule's cost repeats."""
        return 1

    def credit(self, network: Network) -> dict[str, Credit]:
        """Name of each parameter that the rule trains -> "rule" or "exact"."""
        return network.credit("exact", "above the cuts")

    def state(self) -> dict[str, Any]:
        """What the rule keeps beside its tensors, to go on from: every attribute that is plain data.

        Plain are Python's numbers, strings, None, and lists, tuples, sets and dicts of them. What else a rule keeps is
        either made by `setup` or needs a `state` and `load_state` of its own.
        """
        return {name: copy.deepcopy(value) for name, value in vars(self).items() if _plain(value)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned, after `setup`."""
        vars(self).update(copy.deepcopy(state))

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings().items())
        return f"{type(self).__name__}({settings})"

    def settings(self) -> dict[str, Any]:
        """The public attributes: what the rule was made with."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


def _plain(value: Any) -> bool:
    if type(value) in (list, tuple, set):
        return all(map(_plain, value))
    if type(value) is dict:
        return all(map(_plain, (*value, *value.values())))
    return type(value) in (bool, int, float, complex, str, type(None))
