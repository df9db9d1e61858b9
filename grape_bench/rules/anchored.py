"""Anchors: occasional mini-batches with true backpropagation (Caillon et al., ICLR 2026)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from typing_extensions import override

from grape_bench.errors import UserError
from grape_bench.network.passes import Pass
from grape_bench.rules.exact_steps import ExactSteps
from grape_bench.rules.grape import GrAPE

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.rule import LearningRule
    from grape_bench.network.trace import Batch


class Anchored(ExactSteps):
    """Wraps `rule` and uses exact gradients on `batches` random mini-batches of every `every_epochs`-th epoch.

    With `every_steps`, every `every_steps`-th training step is an anchor instead. With `below`, an anchor is skipped
    unless the rule's own estimate of its alignment (`GrAPE.alignment`) is below this number. The declared share of
    anchors is then an upper limit.

    The training loop must call `network.begin_epoch`, or the forward raises RuntimeError. `begin_epoch` raises
    UserError if every batch would be an anchor, because that would be plain backpropagation.
    """

    def __init__(
        self,
        rule: LearningRule,
        every_epochs: int = 1,
        batches: int = 1,
        every_steps: int | None = None,
        below: float | None = None,
    ) -> None:
        if every_epochs < 1 or batches < 1 or (every_steps is not None and every_steps < 1):
            raise ValueError("every_epochs, batches and every_steps must be at least 1")
        if every_steps is not None and (every_epochs, batches) != (1, 1):
            raise ValueError("every_steps replaces every_epochs and batches: give one or the other")
        super().__init__(rule)
        if below is not None:
            if not isinstance(rule, GrAPE):
                raise ValueError("below needs a rule that measures its alignment: grape")
            rule.watch_alignment()
        self.every_epochs, self.batches = every_epochs, batches
        self.every_steps, self.below = every_steps, below
        self._epoch = 0
        self._step = -1
        self._anchors: set[int] | None = None

    @override
    def begin_epoch(self, network: Network, batches: int) -> None:
        # The anchors are drawn once per epoch: `self.batches` of its `batches` steps.
        super().begin_epoch(network, batches)
        if self.exact_share(batches, max(2, self.every_epochs)) == 1:
            raise UserError(
                f"each of the {batches} batches of an epoch is an anchor, so this would be backpropagation",
                where="an anchored rule",
                hint="every_epochs = 20 in the rule's settings",
            )
        if self.every_steps is not None:
            self._anchors = set()
            return
        order = torch.randperm(batches, generator=network.generator("anchor"))
        self._anchors = set(order[: self.batches].tolist()) if self._epoch % self.every_epochs == 0 else set()
        self._epoch += 1
        self._step = -1

    @override
    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a plain pass (backpropagation) on an anchor, and the rule's own pass on other steps."""
        if self._anchors is None:
            raise RuntimeError("an anchored rule needs net.begin_epoch(batches=len(loader)) at the start of each epoch")
        if not network.advances:
            return self.rule.open_pass(network, batch)
        self._step += 1
        due = self._step in self._anchors
        if self.every_steps is not None:  # steps are counted over all epochs
            due = (self._step + 1) % self.every_steps == 0
        return Pass() if due and self._wanted() else self.rule.open_pass(network, batch)

    def _wanted(self) -> bool:
        """Whether an anchor that is due is actually used."""
        if self.below is None:
            return True
        assert isinstance(self.rule, GrAPE)
        return self.rule.alignment is None or self.rule.alignment < self.below

    @override
    def exact_share(self, batches: int, epochs: float) -> float:
        """The share of steps that are anchors. With `below`, an upper limit."""
        if self.every_steps is not None:
            return (steps := round(batches * epochs)) and steps // self.every_steps / steps
        return min(self.batches, batches) * math.ceil(epochs / self.every_epochs) / (batches * epochs)

    @override
    def bp_fraction(self, batches: int, epochs: float) -> float:
        """The share of steps that are anchors, plus the rule's own fraction on all other steps."""
        anchors = self.exact_share(batches, epochs)
        return anchors + (1 - anchors) * self.rule.bp_fraction(batches, epochs)
