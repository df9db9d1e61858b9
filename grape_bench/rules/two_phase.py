"""The two-phase family: rules that run the network again once the error is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from grape_bench.network.block import Block
from grape_bench.network.passes import Pass
from grape_bench.network.phases import FirstPhase, Held, TwoPhasePass
from grape_bench.network.rule import LearningRule

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.reach import Credit
    from grape_bench.network.trace import Batch


class TwoPhase(LearningRule):
    """Base class. After the training forward, `second_phase` runs once per step, when the error is known.

    It may run forwards with `network.aside`, on the same batch or another one, with its own `Pass`. They do not change
    the model's state, and use the training forward's dropout masks. Whatever `backward()` leaves in `.grad` there is
    the gradient of the parameters below the last cut, and of the parameters that the rule owns. A rule may also give
    each block a `signal`. The head gets the true gradient of the training forward.
    """

    weight_transport: ClassVar[bool] = False

    def second_phase(self, network: Network, first: FirstPhase) -> None:
        """Compute the gradients, or what the signals need. Autograd is enabled."""
        raise NotImplementedError

    def subtract_head(self, network: Network, first: FirstPhase, *, of_loss: bool = True) -> None:
        """Remove the head's part from the `.grad` of the weights that it shares with a block, as of a tied embedding.

        For a second phase that differentiates the loss itself, or e * y_hat unless `of_loss`. Its gradient of a shared
        weight includes the head's use, and the training forward adds the exact gradient of that use.
        """
        shared = network.shared_parameters()
        if not shared:
            return
        above = _AboveTheCuts(first.outputs)
        output = network.aside(above, first.batch)
        value = network.loss_of(output) if of_loss else (first.error * above.logits).sum()
        if not value.requires_grad:
            return  # the head has no trainable weight
        for weight, part in zip(shared, torch.autograd.grad(value, shared, allow_unused=True), strict=True):
            if part is not None and weight.grad is not None:
                weight.grad = weight.grad - part

    def signal(self, block: Block) -> Tensor:
        """Optional: the replacement of dL/dh_l in the block's graph of the training forward, like `block.output`."""
        raise NotImplementedError

    def bp_fraction(self, batches: int, epochs: float) -> float:
        """Zero: no backward runs through a hidden block."""
        return 0.0

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a pass that cuts at every block and ends in the second phase."""
        signal = None if type(self).signal is TwoPhase.signal else self.signal
        return TwoPhasePass(network, batch, lambda first: self.second_phase(network, first), signal)

    def credit(self, network: Network) -> dict[str, Credit]:
        """The rule's gradients below the last cut, exact gradients above it."""
        return network.credit("rule", "above the cuts")


class _AboveTheCuts(Held):
    """A forward that keeps the network's output, with the graph of the head."""

    def join(self, logits: Tensor) -> Tensor:
        """Keep the output."""
        self.logits = logits
        return logits
