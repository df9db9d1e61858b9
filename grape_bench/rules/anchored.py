"""Anchors: an occasional mini-batch with true backpropagation (Caillon et al., ICLR 2026)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from typing_extensions import override

from grape_bench.network.passes import Pass
from grape_bench.rules.exact_steps import ExactSteps

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.rule import LearningRule
    from grape_bench.network.trace import Batch


class Anchored(ExactSteps):
    """Wraps `rule` and gives exact gradients on `batches` random mini-batches of every `every_epochs`-th epoch.

    The training loop must call `network.begin_epoch`. Otherwise a forward raises RuntimeError.
    """

    def __init__(self, rule: LearningRule, every_epochs: int = 1, batches: int = 1) -> None:
        if every_epochs < 1 or batches < 1:
            raise ValueError("every_epochs and batches must be at least 1")
        super().__init__(rule)
        self.every_epochs, self.batches = every_epochs, batches
        self._epoch = 0
        self._step = -1
        self._anchors: set[int] | None = None

    @override
    def begin_epoch(self, network: Network, batches: int) -> None:
        # The anchors are drawn once per epoch: `self.batches` of its `batches` steps.
        super().begin_epoch(network, batches)
        order = torch.randperm(batches, generator=network.generator("anchor"))
        self._anchors = set(order[: self.batches].tolist()) if self._epoch % self.every_epochs == 0 else set()
        self._epoch += 1
        self._step = -1

    @override
    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a plain pass (backpropagation) on an anchor, and the rule's own pass otherwise."""
        if self._anchors is None:
            raise RuntimeError("an anchored rule needs net.begin_epoch(batches=len(loader)) at the start of each epoch")
        if not network.model.training:
            return self.rule.open_pass(network, batch)
        self._step += 1
        return Pass() if self._step in self._anchors else self.rule.open_pass(network, batch)

    @override
    def exact_share(self, batches: int, epochs: float) -> float:
        """The share of anchors among the steps."""
        return min(self.batches, batches) * math.ceil(epochs / self.every_epochs) / (batches * epochs)

    @override
    def bp_fraction(self, batches: int, epochs: float) -> float:
        """The share of anchors among the steps, plus the rule's own fraction on all other steps."""
        anchors = self.exact_share(batches, epochs)
        return anchors + (1 - anchors) * self.rule.bp_fraction(batches, epochs)
