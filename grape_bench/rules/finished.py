"""The finish: backpropagation takes over for the last share of the training steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from typing_extensions import override

from grape_bench.errors import UserError
from grape_bench.network.passes import Pass
from grape_bench.rules.exact_steps import ExactSteps

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.rule import LearningRule
    from grape_bench.network.trace import Batch


class Finished(ExactSteps):
    """Wraps `rule` and uses exact gradients for the last `finish_share` of the training steps, at least one step.

    The network must know the length of the training, `network.planned_steps`. The harness sets it. In your own loop you
    can set `finish_after` instead, the number of steps before the finish. If neither is set, the forward raises
    UserError.
    """

    def __init__(self, rule: LearningRule, finish_share: float = 0.1, finish_after: int | None = None) -> None:
        if not 0 < finish_share <= 1 or (finish_after is not None and finish_after < 0):
            raise ValueError("finish_share must be in (0, 1], and finish_after at least 0")
        super().__init__(rule)
        self.finish_share, self.finish_after = finish_share, finish_after
        self._step = -1

    @override
    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a plain pass (backpropagation) in the finish, and the rule's own pass before it."""
        begin = self._begin(network.planned_steps)
        if not network.advances:
            return self.rule.open_pass(network, batch)
        self._step += 1
        return Pass() if self._step >= begin else self.rule.open_pass(network, batch)

    @override
    def exact_share(self, batches: int, epochs: float) -> float:
        """The share of the finish, plus the exact steps that the rule itself takes before it."""
        own = self.rule.exact_share if isinstance(self.rule, ExactSteps) else None
        return self._with_finish(own, batches, epochs)

    @override
    def bp_fraction(self, batches: int, epochs: float) -> float:
        """The share of the finish, plus the rule's own fraction on the steps before it."""
        return self._with_finish(self.rule.bp_fraction, batches, epochs)

    def _with_finish(self, own: Callable[[int, float], float] | None, batches: int, epochs: float) -> float:
        steps = round(batches * epochs)
        before = min(self._begin(steps), steps)
        share = own(batches, before / batches) if own and before else 0.0
        return (steps - before * (1 - share)) / steps

    def _begin(self, planned: int | None) -> int:
        """The number of steps before the finish."""
        if self.finish_after is not None:
            return self.finish_after
        if planned is None:
            raise UserError(
                "a rule with a finish has to know how long the training is",
                allowed="net.planned_steps = epochs * len(loader), or finish_after",
                hint="Finished(rule, finish_after=steps)",
            )
        return planned - max(1, round(self.finish_share * planned))
