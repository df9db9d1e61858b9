"""The family of local losses: each block is trained by a loss of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from grape_bench.network.block import Block
from grape_bench.network.rule import LearningRule
from grape_bench.rules.target import Target, TargetPass

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.passes import Pass
    from grape_bench.network.reach import Credit
    from grape_bench.network.trace import Batch


class LocalLoss(LearningRule):
    """Base class: each block has a `loss` of its output and the target; later blocks send nothing back.

    The gradient of that loss, with the sample's weight in the network's loss, replaces dL/dh_l. The head gets the true
    gradient of the network's loss. The target is read from the error (see `read_target`).
    """

    weight_transport: ClassVar[bool] = False

    def loss(self, block: Block, output: Tensor, target: Tensor) -> Tensor:
        """The sum over samples of the loss of `block` with `output` (N, *shape), differentiable in it.

        `target` (N, ..., n_out) is one-hot, and zero where there is none.
        """
        raise NotImplementedError

    def bp_fraction(self, batches: int, epochs: int) -> float:
        """No block waits for another's result."""
        return 0.0

    @property
    def at_scores(self) -> bool:
        """Targets are classes."""
        return True

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """A pass cut at every block."""
        return TargetPass(self._signal)

    def _signal(self, block: Block, target: Target) -> Tensor:
        with torch.enable_grad():
            output = block.output.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.loss(block, output, target.one_hot), output)
        return gradient * target.scale.to(gradient.dtype)

    def credit(self, network: Network) -> dict[str, Credit]:
        """The rule's below the last cut, exact above."""
        return network.credit("rule", "above the cuts")
