"""Anchors: an occasional mini-batch with true backpropagation (Caillon et al., ICLR 2026)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from typing_extensions import override

from grape_bench.network.passes import Pass
from grape_bench.network.rule import LearningRule
from grape_bench.rules.frozen import Frozen
from grape_bench.rules.grape import GrAPE

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.reach import Credit
    from grape_bench.network.rule import Kept
    from grape_bench.network.trace import Batch


class Anchored(LearningRule):
    """Wraps `rule` and gives exact gradients on `batches` random mini-batches of every `every_epochs`-th epoch.

    With `every_steps`, every so many steps is an anchor instead. With `below`, an anchor that is due takes place only
    if the rule's own measure of its alignment (`GrAPE.alignment`) is below this number. The declared share of anchors
    is then an upper limit.

    The training loop must call `network.begin_epoch`. Otherwise a forward raises RuntimeError.
    """

    weight_transport: ClassVar[bool] = True  # on the anchors

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
        if isinstance(rule, Frozen):
            raise ValueError("frozen takes no training steps, so it has no anchors; head-only does")
        if below is not None:
            if not isinstance(rule, GrAPE):
                raise ValueError("below needs a rule that measures its alignment: grape")
            rule.watch_alignment()
        self.rule, self.every_epochs, self.batches = rule, every_epochs, batches
        self.every_steps, self.below = every_steps, below
        self._epoch = 0
        self._step = -1
        self._anchors: set[int] | None = None

    @property
    @override
    def cuts(self) -> bool:
        return self.rule.cuts

    @property
    def targets(self) -> Literal["any", "classes"]:  # type: ignore[override]
        """What the rule reads."""
        return self.rule.targets

    @property
    @override
    def at_scores(self) -> bool:
        return self.rule.at_scores

    @override
    def setup(self, network: Network) -> None:
        self.rule.setup(network)

    @override
    def begin_epoch(self, network: Network, batches: int) -> None:
        # The anchors are drawn once per epoch: `self.batches` of its `batches` steps.
        self.rule.begin_epoch(network, batches)
        if self.every_steps is not None:
            self._anchors = set()
            return
        order = torch.randperm(batches, generator=network.generator("anchor"))
        self._anchors = set(order[: self.batches].tolist()) if self._epoch % self.every_epochs == 0 else set()
        self._epoch += 1
        self._step = -1

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a plain pass (backpropagation) on an anchor, and the rule's own pass otherwise."""
        if self._anchors is None:
            raise RuntimeError("an anchored rule needs net.begin_epoch(batches=len(loader)) at the start of each epoch")
        if not network.model.training:
            return self.rule.open_pass(network, batch)
        self._step += 1
        due = self._step in self._anchors
        if self.every_steps is not None:  # the steps are counted over all epochs
            due = (self._step + 1) % self.every_steps == 0
        return Pass() if due and self._wanted() else self.rule.open_pass(network, batch)

    def _wanted(self) -> bool:
        """Whether an anchor that is due takes place."""
        if self.below is None:
            return True
        assert isinstance(self.rule, GrAPE)
        return self.rule.alignment is None or self.rule.alignment < self.below

    def anchor_share(self, batches: int, epochs: float) -> float:
        """The share of anchors among the steps. With `below`, an upper limit."""
        if self.every_steps is not None:
            return (steps := round(batches * epochs)) and steps // self.every_steps / steps
        return min(self.batches, batches) * math.ceil(epochs / self.every_epochs) / (batches * epochs)

    def bp_fraction(self, batches: int, epochs: float) -> float:
        """The share of anchors among the steps, plus the rule's own fraction on all other steps."""
        anchors = self.anchor_share(batches, epochs)
        return anchors + (1 - anchors) * self.rule.bp_fraction(batches, epochs)

    @override
    def kept_feedback(self, network: Network) -> dict[str, Kept]:
        return self.rule.kept_feedback(network)

    @property
    def period(self) -> int:
        """The rule's own period; anchors are too rare to count."""
        return self.rule.period

    def credit(self, network: Network) -> dict[str, Credit]:
        """The rule's own credit, except that anchors also train the parameters that the rule leaves frozen."""
        own = self.rule.credit(network)
        return {name: "rule" if credit == "frozen" else credit for name, credit in own.items()}

    def state(self) -> dict[str, Any]:
        """The progress through the anchors, and the rule's state."""
        return {"anchors": super().state(), "rule": self.rule.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from what `state` returned."""
        super().load_state(state["anchors"])
        self.rule.load_state(state["rule"])
