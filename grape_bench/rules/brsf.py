"""Batchwise random-magnitude sign-concordant feedback (Moskovitz, Litwin-Kumar and Abbott 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from grape_bench.rules.usf import USF

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.passes import Pass
    from grape_bench.network.trace import Batch


class BrSF(USF):
    """B = |M| ∘ sign(W). M is Gaussian with standard deviation s and is redrawn in every training step."""

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return the family's pass. M is drawn from the "feedback" stream on the network's device."""
        self._generator = network.generator("feedback", network.device)
        return super().open_pass(network, batch)

    def matrix(self, weight: Tensor, feedback: Tensor) -> Tensor:
        """|M| ∘ sign(W)."""
        drawn = torch.randn(weight.shape, generator=self._generator, device=weight.device)
        return weight.sign().mul_(drawn.abs_().mul_(feedback))
