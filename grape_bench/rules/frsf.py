"""Fixed random-magnitude sign-concordant feedback (Moskovitz, Litwin-Kumar and Abbott 2018)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from grape_bench.rules.backward import BackwardFeedback


class FrSF(BackwardFeedback):
    """B = |M| ∘ sign(W). M is drawn once, like the B of FA."""

    weight_transport: ClassVar[bool] = True  # it reads the signs of W

    def matrix(self, weight: Tensor, feedback: Tensor) -> Tensor:
        """|M| ∘ sign(W)."""
        return weight.sign().mul_(feedback.abs())
