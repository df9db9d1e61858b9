"""A control that trains only the head. It shows how much a rule gains from training the hidden blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from grape_bench.network.passes import HeadPass, Pass
from grape_bench.network.rule import LearningRule

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.reach import Credit
    from grape_bench.network.trace import Batch


class HeadOnly(LearningRule):
    """Exact gradients above the last block's output, and no gradients below it."""

    weight_transport: ClassVar[bool] = False

    def bp_fraction(self, batches: int, epochs: float) -> float:
        """Zero: no backward runs through a hidden block."""
        return 0.0

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a pass in which the last block's output is a constant."""
        return HeadPass()

    def credit(self, network: Network) -> dict[str, Credit]:
        """Exact above the cuts, frozen below."""
        return network.credit("frozen", "above the cuts")
