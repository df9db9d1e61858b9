"""The contract of a learning rule. Its methods are in the order in which training calls them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch

from grape_bench.network.passes import Pass

if TYPE_CHECKING:
    from grape_bench.network.block import Block
    from grape_bench.network.network import Network
    from grape_bench.network.reach import Credit
    from grape_bench.network.trace import Batch


@dataclass(frozen=True)
class Kept:
    """How feedback is stored: the name of its `kind`, the shape of B, and how many numbers it takes in memory."""

    kind: str
    shape: tuple[int, ...]
    numbers: int

    def __str__(self) -> str:
        return f"{self.kind} {' × '.join(map(str, self.shape))}".rstrip()


class LearningRule:
    """The bare contract of a rule. Without changes it is backpropagation: every pass is the model's own.

    The arguments of `__init__` are the rule's settings. A rule stores tensors in the network's blocks (`block.store`),
    so that they move, save and copy with the model. It can own modules there (`block.own`), which the optimizer trains.
    It draws random numbers from `self.random(block)` or `network.generator`. `state` saves counters and other plain
    attributes.

    `setup` may also use the global random generators. They are seeded from the rule's own stream for the call, and
    restored after it. So a new `nn.Linear` is the same in every run of a seed. A rule that makes no sense for a network
    raises `DoesNotApplyError` in `setup`, with the reason.

    `weight_transport` and `bp_fraction` declare what a rule takes from backpropagation. A class inherits the
    declarations of its family, and `grape-bench check` compares both with measurements.
    """

    weight_transport: ClassVar[bool] = True
    """Whether the backward signal reads the forward weights. It does if the signal at some block changes with the
    weights downstream of it, while the error, the activations and the rule's feedback stay fixed."""

    targets: Literal["any", "classes"] = "any"
    """`"classes"` if the rule reads which class is right. It is refused for models whose outputs are not classes."""

    def bp_fraction(self, batches: int, epochs: float) -> float:
        """Autograd passes through hidden blocks ÷ backpropagation's, over `epochs` epochs of `batches` steps each."""
        return 1.0

    @property
    def cuts(self) -> bool:
        """Whether the rule needs blocks. If not, it also attaches to networks that cannot be cut."""
        return True

    @property
    def at_scores(self) -> bool:
        """Whether the rule needs the error at the scores (N, ..., n_out), even with a large vocabulary."""
        return self.targets == "classes"

    def setup(self, network: Network) -> None:
        """Called once, at attach. Draw the feedback here."""

    def begin_epoch(self, network: Network, batches: int) -> None:
        """Called before the first of the `batches` training steps of an epoch."""

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Called before each training forward on `batch`. The pass says what happens at the cuts."""
        return Pass()

    def random(self, block: Block) -> torch.Generator:
        """The rule's own generator for `block`, on the block's device. It survives `load_state_dict` and a resume."""
        return block.home.generator(f"rule/{block.name}", block.device)

    def kept_feedback(self, network: Network) -> dict[str, Kept]:
        """Name of a block (or of a weight, if feedback belongs to weights) -> how its feedback is stored."""
        return {}

    @property
    def period(self) -> int:
        """The number of training steps after which the rule's cost repeats."""
        return 1

    @property
    def unreplayable(self) -> str:
        """Why a CUDA graph cannot replay this rule's steps, or "" if it can. A step also refuses an unsuitable pass."""
        return ""

    def credit(self, network: Network) -> dict[str, Credit]:
        """Name of each parameter that the rule trains -> "rule" or "exact"."""
        return network.credit("exact", "above the cuts")

    def state(self) -> dict[str, Any]:
        """What a resume needs besides the tensors: every attribute that is plain data.

        Plain data are numbers, strings, None, and lists, tuples, sets and dicts of them. If a rule keeps anything else
        that `setup` does not create, it must override `state` and `load_state`.
        """
        return {name: copy.deepcopy(value) for name, value in vars(self).items() if _plain(value)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from the result of `state`. Called after `setup`."""
        vars(self).update(copy.deepcopy(state))

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings().items())
        return f"{type(self).__name__}({settings})"

    def settings(self) -> dict[str, Any]:
        """The public attributes, which are the settings that the rule was made with."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


def _plain(value: Any) -> bool:
    if type(value) in (list, tuple, set):
        return all(map(_plain, value))
    if type(value) is dict:
        return all(map(_plain, (*value, *value.values())))
    return type(value) in (bool, int, float, complex, str, type(None))
