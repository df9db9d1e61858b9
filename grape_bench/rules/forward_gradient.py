"""The family of forward gradients: a directional derivative times its direction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from grape_bench.network.block import Block
from grape_bench.network.passes import CutPass, Pass, Signal
from grape_bench.network.preserve import preserved
from grape_bench.network.rule import LearningRule
from grape_bench.network.tangents import TangentPass, same_dropout

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.reach import Credit
    from grape_bench.network.trace import Batch


class ForwardGradient(LearningRule):
    """Base class: dL/dh_l := mean over draws of (e . d) p_l, where d is how the output moves if every h_l moves by p_l.

    The p_l come from `direction`; for p ~ N(0, I) the mean is the true gradient. d, one number per output and sample,
    is a forward-mode derivative, made by a forward aside before each training forward; e . d is a sample's own, so
    that samples that meet in a BatchNorm blur each other. The rule reads no weights backwards, but d is made
    with them, so that it counts as weight transport. Each draw costs a forward on dual numbers.
    """

    weight_transport: ClassVar[bool] = True  # through the tangents

    def __init__(self, perturbations: int = 1) -> None:
        if perturbations < 1:
            raise ValueError("perturbations is at least 1")
        self.perturbations = perturbations

    def bp_fraction(self, batches: int, epochs: int) -> float:
        """Nothing goes back through a hidden block."""
        return 0.0

    def direction(self, block: Block, output: Tensor, generator: torch.Generator) -> Tensor:
        """p_l, shaped like the block's `output`."""
        raise NotImplementedError

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """A cut pass whose signals go along the directions of forwards aside."""
        draws = [_Draw(self, network, batch) for _ in range(self.perturbations)]

        def signal(block: Block, error: Tensor) -> Tensor:
            return torch.stack([draw.along(block, error) for draw in draws]).mean(0)

        return _SameMasks(network.device, signal)

    def credit(self, network: Network) -> dict[str, Credit]:
        """The rule's below the last cut, exact above."""
        return network.credit("rule", "above the cuts")


class _SameMasks(CutPass):
    """A cut pass whose forward draws the dropout masks of the tangent pass: d and e must be of one sub-network."""

    def __init__(self, device: torch.device, signal: Signal) -> None:
        super().__init__(signal)
        self.device = device

    @contextmanager
    def around(self) -> Iterator[None]:
        """On a GPU, attention runs on the math back-end."""
        with super().around(), same_dropout(self.device):
            yield


class _Draw:
    """Directions p_l, and the tangent d of the output along all of them."""

    def __init__(self, rule: ForwardGradient, network: Network, batch: Batch) -> None:
        self.rule, self.generator = rule, network.generator("perturbation", network.device)
        self.directions: dict[str, Tensor] = {}
        tangents = TangentPass(self._perturb)
        with preserved(network.model):
            network.run(tangents, batch)
        self.tangent = tangents.tangent

    def _perturb(self, block: Block, output: Tensor) -> Tensor:
        self.directions[block.name] = self.rule.direction(block, output, self.generator)
        return self.directions[block.name]

    def along(self, block: Block, error: Tensor) -> Tensor:
        """Each sample's (e . d) p_l."""
        assert self.tangent is not None, "the pass has run"
        derivative = (error * self.tangent.to(error.dtype)).flatten(1).sum(1)
        direction = self.directions[block.name]
        return derivative.reshape(-1, *[1] * (direction.dim() - 1)).to(direction.dtype) * direction
