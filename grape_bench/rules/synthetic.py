"""Decoupled neural interfaces: each block is trained by a predicted gradient (Jaderberg et al. 2017)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from grape_bench.errors import DoesNotApplyError
from grape_bench.network.block import Block
from grape_bench.network.passes import Pass
from grape_bench.network.phases import FirstPhase
from grape_bench.rules.two_phase import TwoPhase

if TYPE_CHECKING:
    from grape_bench.network.network import Network


class SyntheticGradients(TwoPhase):
    """dL/dh_l := M_l(h_l) / N. M_l learns to predict the gradient that the block above sends down.

    That gradient is the backward of block l + 1 alone, started from its own synthetic gradient. Below the head it is
    the true gradient. M_l is linear, or has `layers` hidden layers of `hidden` units. It is initialized to zero and
    minimizes its mean squared error, at the learning rate `model_lr` if it is set. The M_l belong to the rule.
    """

    def __init__(self, layers: int = 0, hidden: int = 1024, model_lr: float | None = None) -> None:
        if layers < 0 or hidden < 1:
            raise ValueError("layers must be at least 0, and hidden at least 1")
        self.layers, self.hidden, self.model_lr = layers, hidden, model_lr

    @override
    def bp_fraction(self, batches: int, epochs: float) -> float:
        """One: every block is differentiated with respect to its input, although no block waits for another."""
        return 1.0

    @override
    def setup(self, network: Network) -> None:
        """Give each block its M_l."""
        if network.sequences:
            raise DoesNotApplyError("M_l has a fixed number of inputs, and this network's sequences do not")
        if any(block.calls > 1 for block in network.blocks):
            raise DoesNotApplyError("a block that is called several times has no single block above it")
        settings: dict[str, Any] = {} if self.model_lr is None else {"lr": self.model_lr}
        for block in network.blocks:
            block.own(self._model(block.size), "gradients", **settings)

    @override
    def second_phase(self, network: Network, first: FirstPhase) -> None:
        """Run each block's backward from its synthetic gradient, and train M_l on what arrives below the block."""
        opened = _Opened()
        network.aside(opened, first.batch)
        # A leaf sums the gradients of all parts above that read it. Blocks may also share parts of their graphs.
        torch.autograd.backward(opened.logits, first.error, retain_graph=True, inputs=opened.inputs)
        for block, output, leaf in reversed(list(zip(network.blocks, opened.outputs, opened.inputs, strict=True))):
            arrived = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            predicted = block.owned("gradients")(output.detach().flatten(1))
            wrong = predicted - first.samples * arrived.flatten(1)
            (wrong.square().sum() / (2 * first.samples)).backward()
            if output.requires_grad:  # not if everything below is frozen
                torch.autograd.backward(output, (predicted.detach() / first.samples).view_as(output), retain_graph=True)

    def _model(self, size: int) -> nn.Module:
        widths = [size, *[self.hidden] * self.layers]
        hidden: list[nn.Module] = []
        for before, after in pairwise(widths):
            hidden += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
        last = nn.Linear(widths[-1], size)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        return nn.Sequential(*hidden, last)


class _Opened(Pass):
    """A forward in which each block reads a leaf, so that its backward ends at its input."""

    cuts = True

    def __init__(self) -> None:
        self.outputs: list[Tensor] = []
        self.inputs: list[Tensor] = []  # what the part above each block reads

    @override
    def cut(self, block: Block, output: Tensor) -> Tensor:
        """Return the output as a new leaf."""
        self.outputs.append(output)
        self.inputs.append(output.detach().requires_grad_())
        return self.inputs[-1].clone()  # the model may overwrite what it gets

    @override
    def join(self, logits: Tensor) -> Tensor:
        """Keep the network's output."""
        self.logits = logits
        return logits
