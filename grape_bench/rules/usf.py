"""Uniform sign-concordant feedback (Moskovitz, Litwin-Kumar and Abbott 2018)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from grape_bench.rules.backward import BackwardFeedback, scale_of


class USF(BackwardFeedback):
    """B = s sign(W): the signs of the weights as they are, the magnitude s that of the weights when attached."""

    weight_transport: ClassVar[bool] = True  # of the signs

    def draw(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """s, one number."""
        return torch.tensor(scale_of(weight))

    def matrix(self, weight: Tensor, feedback: Tensor) -> Tensor:
        """s sign(W)."""
        return weight.sign().mul_(feedback)
