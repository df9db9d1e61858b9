"""Difference target propagation: learned inverses send targets down (Lee, Zhang, Fischer and Bengio 2015)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from typing_extensions import override

from grape_bench.errors import DoesNotApplyError
from grape_bench.network.block import Block
from grape_bench.network.passes import Pass
from grape_bench.network.phases import Activations, FirstPhase
from grape_bench.rules.two_phase import TwoPhase

if TYPE_CHECKING:
    from grape_bench.network.network import Network

INVERSE = "inverse"
InverseKind = Literal["tanh", "linear"]


class TargetPropagation(TwoPhase):
    """dL/dh_l := (h_l - t_l) / N, the gradient of ||h_l - t_l||^2 / 2N, with a target t_l for each block.

    The last block's target is h_L - `step` * N dL/dh_L, using the true gradient through the head. Below it, t_l = h_l +
    g_l(t_{l+1}) - g_l(h_{l+1}). The inverse is g_l(h) = tanh(V h + c), or V h + c if `inverse` is "linear". It
    minimizes ||g_l(f(h_l + noise)) - (h_l + noise)||^2 / 2N, where f is the block above and the noise has standard
    deviation `noise`. The inverses belong to the rule. The optimizer trains them, at the learning rate `inverse_lr` if
    it is set. The head gets its true gradient.
    """

    # Example: blocks h1 (N, 7), h2 (N, 5), logits (N, 4), error e (N, 4), head weight W (4, 5).
    #   t2 = h2 - step * N e W;  t1 = h1 + g1(t2) - g1(h2), with g1: (N, 5) -> (N, 7)
    #   g1 learns to recover h1 + noise from f2(h1 + noise). No inverse is needed above h2 and below h1.

    weight_transport: ClassVar[bool] = True  # the first target reads the weights of the head

    def __init__(
        self,
        step: float = 0.33,
        noise: float = 0.36,
        inverse: InverseKind = "tanh",
        inverse_lr: float | None = None,
    ) -> None:
        if inverse not in get_args(InverseKind):
            raise ValueError(f"inverse = {inverse!r} is not one of {', '.join(get_args(InverseKind))}")
        self.step, self.noise, self.inverse, self.inverse_lr = step, noise, inverse, inverse_lr
        self._share = 1.0

    @property
    @override
    def at_scores(self) -> bool:
        """True: the weights below the error must be the whole head."""
        return True

    @override
    def bp_fraction(self, batches: int, epochs: float) -> float:
        """One of all blocks, once attached: the gradient through the head ends at the last block."""
        return self._share

    @override
    def setup(self, network: Network) -> None:
        """Give each block except the last an inverse."""
        if network.sequences:
            raise DoesNotApplyError("an inverse has a fixed number of inputs, and this network's sequences do not")
        if any(block.calls > 1 for block in network.blocks):
            raise DoesNotApplyError("a block that is called several times has no single block above it")
        self._share = 1 / len(network.blocks)
        settings: dict[str, Any] = {} if self.inverse_lr is None else {"lr": self.inverse_lr}
        for block, above in pairwise(network.blocks):
            end = [nn.Tanh()] if self.inverse == "tanh" else []
            layers = (nn.Flatten(), nn.Linear(above.size, block.size), *end, nn.Unflatten(1, block.shape))
            block.own(nn.Sequential(*layers), INVERSE, **settings)

    @override
    def second_phase(self, network: Network, first: FirstPhase) -> None:
        """Train the inverses, and compute the targets from the last block down."""
        noisy = _Noisy(self, first.outputs, network.blocks[-1])
        network.aside(noisy, first.batch)
        for block, above in pairwise(network.blocks):
            restored = block.owned(INVERSE)(noisy.computed[above.key].detach())
            ((restored - noisy.seen[block.key]).square().sum() / (2 * first.samples)).backward()
        last = network.blocks[-1]
        gradient = self.step * noisy.gradient(first.error)
        self._signals = {last.key: gradient}
        with torch.no_grad():
            target = first.outputs[last.key] - first.samples * gradient
            for above, block in pairwise(reversed(network.blocks)):
                output, inverse = first.outputs[block.key], block.owned(INVERSE)
                target = output + inverse(target) - inverse(first.outputs[above.key])
                self._signals[block.key] = (output - target) / first.samples

    @override
    def signal(self, block: Block) -> Tensor:
        """(h_l - t_l) / N."""
        return self._signals[block.key]


class _Noisy(Pass):
    """A forward in which each block reads the training forward's output of the block below, plus noise.

    The head reads the last block's output itself, as a leaf, so that its backward ends there.
    """

    cuts = True

    def __init__(self, rule: TargetPropagation, clean: Activations, last: Block) -> None:
        self.rule, self.clean, self.last = rule, clean, last
        self.computed: Activations = {}
        self.seen: Activations = {}

    @override
    def cut(self, block: Block, output: Tensor) -> Tensor:
        """Store what the block computed, and return its output with noise."""
        self.computed[block.key] = output
        clean = self.clean[block.key]
        if block.key == self.last.key:
            self.leaf = clean.clone().requires_grad_()
            return self.leaf.clone()  # the model may overwrite what it gets
        noise = torch.empty_like(clean).normal_(generator=self.rule.random(block))
        self.seen[block.key] = clean + self.rule.noise * noise
        return self.seen[block.key].clone()

    @override
    def join(self, logits: Tensor) -> Tensor:
        """Keep the network's output."""
        self.logits = logits
        return logits

    def gradient(self, error: Tensor) -> Tensor:
        """dL/dh_L, by the backward of the head alone."""
        (found,) = torch.autograd.grad(self.logits, self.leaf, error.to(self.logits.dtype))
        return found
