"""The local-loss family: each block is trained by its own loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

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
    """Base class. The `loss` of a block depends on its output and the target, but not on later blocks.

    The gradient of that loss, times the sample's weight in the network's loss, replaces dL/dh_l. The head gets the true
    gradient of the network's loss. The target is read from the error (see `read_target`). Parameters that the rule owns
    at a block (`block.own`) get the gradient of the block's loss, with the same weight.
    """

    weight_transport: ClassVar[bool] = False
    targets: Literal["any", "classes"] = "classes"

    def loss(self, block: Block, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of `block`, summed over samples and differentiable with respect to `output` (N, *shape).

        `target` (N, ..., n_out) is one-hot, and zero at positions without a target.
        """
        raise NotImplementedError

    def bp_fraction(self, batches: int, epochs: float) -> float:
        """Zero: no block waits for another block."""
        return 0.0

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a pass that cuts at every block."""
        return TargetPass(self._signal)

    def gradient(self, block: Block, target: Tensor) -> Tensor:
        """Return dL/dh_l of the block's loss (N, *shape), and add the gradients of its owned parameters to `.grad`."""
        output = block.output.detach().requires_grad_()
        self.loss(block, output, target).backward()
        assert output.grad is not None, "the loss depends on the output"
        return output.grad

    def _signal(self, block: Block, target: Target) -> Tensor:
        with torch.enable_grad():
            signal = self.gradient(block, target.one_hot)
        for parameter in block.parameters():
            if parameter.grad is not None:
                parameter.grad *= target.scale.to(parameter.grad.dtype)
        return signal * target.scale.to(signal.dtype)

    def credit(self, network: Network) -> dict[str, Credit]:
        """The rule's gradients below the last cut, exact gradients above it."""
        return network.credit("rule", "above the cuts")
