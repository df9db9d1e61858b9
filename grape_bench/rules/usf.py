"""Uniform sign-concordant feedback (Moskovitz, Litwin-Kumar and Abbott 2018)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from grape_bench.rules.backward import BackwardFeedback, scale_of


class USF(BackwardFeedback):
    """B = s sign(W). The signs are those of the current weights. s is the weights' standard deviation at attach."""

    weight_transport: ClassVar[bool] = True  # it reads the signs of W

    def draw(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """Return s as a scalar tensor ()."""
        return scale_of(weight)

    def matrix(self, weight: Tensor, feedback: Tensor) -> Tensor:
        """s sign(W)."""
        return weight.sign().mul_(feedback)
