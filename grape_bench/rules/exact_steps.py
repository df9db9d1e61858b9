"""Wrappers around a rule: some training steps get exact gradients, and the rest follow the rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from typing_extensions import override

from grape_bench.network.rule import LearningRule
from grape_bench.rules.frozen import Frozen

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.reach import Credit
    from grape_bench.network.rule import Kept


class ExactSteps(LearningRule):
    """Base class. `open_pass` returns a plain pass (backpropagation) on exact steps, and the pass of `rule` otherwise.

    `exact_share` declares how many steps are exact.
    """

    weight_transport: ClassVar[bool] = True  # on the exact steps

    def __init__(self, rule: LearningRule) -> None:
        if isinstance(rule, Frozen):
            raise ValueError("frozen takes no training steps, so none can be exact; head-only does")
        self.rule = rule

    def exact_share(self, batches: int, epochs: float) -> float:
        """The share of exact steps in `epochs` epochs of `batches` steps."""
        raise NotImplementedError

    @property
    @override
    def cuts(self) -> bool:
        return self.rule.cuts

    @property
    def targets(self) -> Literal["any", "classes"]:  # type: ignore[override]
        """Whether the wrapped rule reads targets."""
        return self.rule.targets

    @property
    @override
    def at_scores(self) -> bool:
        return self.rule.at_scores

    @override
    def setup(self, network: Network) -> None:
        self.rule.setup(network)

    @property
    @override
    def unreplayable(self) -> str:
        return self.rule.unreplayable

    @override
    def begin_epoch(self, network: Network, batches: int) -> None:
        self.rule.begin_epoch(network, batches)

    @override
    def kept_feedback(self, network: Network) -> dict[str, Kept]:
        return self.rule.kept_feedback(network)

    @property
    @override
    def period(self) -> int:
        """The rule's own period. Exact steps are too rare to count."""
        return self.rule.period

    @override
    def credit(self, network: Network) -> dict[str, Credit]:
        """The rule's own credit. In addition, exact steps train the parameters that the rule leaves frozen."""
        own = self.rule.credit(network)
        return {name: "rule" if credit == "frozen" else credit for name, credit in own.items()}

    @override
    def state(self) -> dict[str, Any]:
        """The progress through training, and the rule's state."""
        return {"own": super().state(), "rule": self.rule.state()}

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from what `state` returned."""
        super().load_state(state["own"])
        self.rule.load_state(state["rule"])


def bare(rule: LearningRule) -> LearningRule:
    """The rule without its wrappers."""
    while isinstance(rule, ExactSteps):
        rule = rule.rule
    return rule
