"""Two-phase passes: what a rule does once the error of the training forward is known."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from grape_bench.network.block import Block
from grape_bench.network.owned import collected
from grape_bench.network.passes import CutPass, Pass, once_differentiable
from grape_bench.network.preserve import Batch, Conditions

if TYPE_CHECKING:
    from grape_bench.network.network import Network

Activations = dict[tuple[str, int], Tensor]
"""`Block.key` (name and call) -> an activation (N, *shape)."""


@dataclass(frozen=True)
class FirstPhase:
    """The results of the training forward.

    `batch` holds the model's arguments, `outputs` is the activation of each block as a constant, and `logits` is the
    network's output (N, ..., n_out). `error` is dL/dy_hat of the loss without loss scaling.
    """

    batch: Batch
    outputs: Activations
    logits: Tensor
    error: Tensor

    @property
    def samples(self) -> int:
        """N. A loss that is a mean over samples gives each sample the weight 1/N."""
        return len(self.logits)


class Held(Pass):
    """A forward in which the model sees a constant instead of each block's output, so only the head has a gradient."""

    cuts = True

    def __init__(self, outputs: Activations) -> None:
        self.outputs = outputs

    def cut(self, block: Block, output: Tensor) -> Tensor:
        """Return the constant. The model may overwrite what it gets."""
        return self.outputs[block.key].clone()

    def again(self) -> Pass:
        """Activation checkpointing repeats a part of this forward with the same constants."""
        return self


class TwoPhasePass(CutPass):
    """A training forward that is cut at every block, with a second phase when its error arrives.

    `second_phase` then runs its own forwards (`network.aside`). What it leaves in the `.grad` of a parameter below the
    last cut, or of an owned parameter, becomes that parameter's gradient. The head gets its true gradient. `signal`, if
    there is one, is called after the second phase, and its result runs through the block's own graph.
    """

    # Example: PEPITA with blocks h1, h2. The forward keeps h1, h2 and y. loss.backward() brings e (N, n_out).
    #   second_phase: a forward on x + e F runs each block's backward with the signal h_l - h_l', which fills .grad.
    #   The engine takes these gradients out of .grad and returns them through autograd, so that loss scaling,
    #   torch.autograd.grad, hooks and gradient accumulation see ordinary gradients.

    independent = False

    def __init__(
        self,
        network: Network,
        batch: Batch,
        second_phase: Callable[[FirstPhase], None],
        signal: Callable[[Block], Tensor] | None = None,
    ) -> None:
        super().__init__(self._scaled)
        self.network, self.batch, self.second_phase, self.after = network, batch, second_phase, signal
        self.outputs: Activations = {}
        self.gradients: list[Tensor | None] = []  # of the parameters that the second phase trains

    def around(self) -> AbstractContextManager[object]:
        """Record the conditions of this forward, so that the forwards of the second phase repeat them."""
        self.conditions = Conditions(self.network.device)
        return super().around()

    def cut(self, block: Block, output: Tensor) -> Tensor:
        """Keep the output as a constant, and its graph only if there is a signal for it."""
        self.outputs[block.key] = output.detach()
        return super().cut(block, output) if self.after else output.detach()

    def join(self, logits: Tensor) -> Tensor:
        """Return the output, whose backward starts the second phase."""
        self.logits = logits.detach()
        self.trained = self.to_train()
        return super().join(_SecondPhase.apply(logits, self, *self.trained))

    def to_train(self) -> list[nn.Parameter]:
        """The parameters whose gradients the second phase computes."""
        return [*self.network.hidden_parameters(), *self.network.owned.parameters()]

    def receive(self, error: Tensor) -> None:
        """Run the second phase and keep the gradients that it computes."""
        super().receive(error)
        scale = self.network.loss_scale
        first = FirstPhase(self.batch, self.outputs, self.logits, error / scale)
        everything = list(self.network.parameters())
        with (
            self.network.repeating(self.conditions),
            self.conditions.autocast.again(),
            torch.enable_grad(),
            collected(everything) as gradients,
        ):
            self.second_phase(first)
        found = dict(zip(everything, gradients, strict=True))
        self.gradients = [None if (own := found[one]) is None else own * scale for one in self.trained]
        self.outputs = {}  # this object waits for the garbage collector, because it holds its own method `_scaled`

    def _scaled(self, block: Block, _: Tensor) -> Tensor:
        assert self.after is not None, "blocks are cut with a token only if there is a signal"
        return self.after(block) * self.network.loss_scale


class _SecondPhase(torch.autograd.Function):
    """(logits, parameters) -> logits. Backward: e -> (e, the gradients of the second phase)."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, owner: TwoPhasePass, *parameters: nn.Parameter) -> Tensor:
        ctx.owner = owner
        return logits.view_as(logits)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.owner.gradients = ctx.owner.gradients, []
        return error, None, *gradients
