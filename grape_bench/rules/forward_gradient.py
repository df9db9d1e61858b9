"""The forward-gradient family: a directional derivative times its direction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from grape_bench.network.block import Block
from grape_bench.network.passes import CutPass, Pass
from grape_bench.network.rule import LearningRule
from grape_bench.network.tangents import TangentPass, same_dropout

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.reach import Credit
    from grape_bench.network.trace import Batch


class ForwardGradient(LearningRule):
    """Base class. dL/dh_l := the mean over draws of (e . d) p_l, where d (N, n_out) is the tangent of the output.

    `direction` draws the p_l. For p ~ N(0, I) the expected signal is the true gradient. d is how the output changes if
    every h_l moves by p_l. An extra forward on dual numbers computes d before each training forward, once per draw.
    Each sample has a single number e . d, so if BatchNorm mixes samples, they add noise to each other's signals. The
    rule never multiplies by a transposed weight, but d depends on the weights, so this counts as weight transport.
    """

    # Example: blocks h1, h2 (N, 256), logits (N, 10), one draw: p1, p2 (N, 256) ~ N(0, I), d = J_1 p1 + J_2 p2 (N, 10).
    #   The error e (N, 10) arrives: (e * d).sum(1) (N,) is the directional derivative of each sample's loss.
    #   signal of block l = that number times p_l (N, 256)

    weight_transport: ClassVar[bool] = True  # through the tangents

    def __init__(self, perturbations: int = 1) -> None:
        if perturbations < 1:
            raise ValueError("perturbations must be at least 1")
        self.perturbations = perturbations

    def bp_fraction(self, batches: int, epochs: float) -> float:
        """Zero: no backward runs through a hidden block."""
        return 0.0

    def direction(self, block: Block, output: Tensor, generator: torch.Generator) -> Tensor:
        """Draw p_l, shaped like the block's `output`."""
        raise NotImplementedError

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Run one forward on dual numbers per draw, and return a cut pass whose signals use their directions."""
        return _ForwardPass([_Draw(self, network, batch) for _ in range(self.perturbations)], network.device)

    def credit(self, network: Network) -> dict[str, Credit]:
        """The rule's gradients below the last cut, exact gradients above it."""
        return network.credit("rule", "above the cuts")


class _ForwardPass(CutPass):
    """A cut pass with the dropout masks of the tangent pass, so that d and e belong to the same subnetwork."""

    def __init__(self, draws: Sequence[_Draw], device: torch.device) -> None:
        super().__init__(self._along)
        self.draws, self.device = draws, device

    def _along(self, block: Block, _: Tensor) -> Tensor:
        # Changing one call affects all positions of the output, so the derivative needs the whole error.
        assert self.error is not None, "the error arrives before any signal is asked for"
        return torch.stack([draw.along(block, self.error) for draw in self.draws]).mean(0)

    @contextmanager
    def around(self) -> Iterator[None]:
        """Run attention on the math back-end if the model is on a GPU."""
        with super().around(), same_dropout(self.device):
            yield


class _Draw:
    """One draw: directions p_l of all blocks, and the tangent d of the output along all of them."""

    def __init__(self, rule: ForwardGradient, network: Network, batch: Batch) -> None:
        self.rule, self.generator = rule, network.generator("perturbation", network.device)
        self.directions: dict[tuple[str, int], Tensor] = {}
        tangents = TangentPass(self._perturb)
        network.aside(tangents, batch)
        self.tangent = tangents.tangent

    def _perturb(self, block: Block, output: Tensor) -> Tensor:
        direction = self.rule.direction(block, output, self.generator)
        self.directions[block.name, block.call] = direction
        return direction

    def along(self, block: Block, error: Tensor) -> Tensor:
        """Return (e . d) p_l of each sample."""
        assert self.tangent is not None, "the tangent pass ran in __init__"
        derivative = (error * self.tangent.to(error.dtype)).flatten(1).sum(1)
        direction = self.directions[block.name, block.call]
        return derivative.reshape(-1, *[1] * (direction.dim() - 1)).to(direction.dtype) * direction
