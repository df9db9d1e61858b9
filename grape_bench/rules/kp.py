"""Kolen and Pollack's rule: feedback that gets the updates of the weights (1994; Akrout et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from grape_bench.rules.backward import BackwardFeedback


class KP(BackwardFeedback):
    """FA whose B gets each update that W gets, and the same weight decay: B - W shrinks by the decay.

    `decay` is what the optimizer's weight decay takes off a weight in one step, as a share of it (learning rate x
    weight decay, for SGD and AdamW): of W's update W' - W, the part -decay W is replaced by -decay B.
    """

    def __init__(self, decay: float = 0.0) -> None:
        if not 0 <= decay < 1:
            raise ValueError("decay is in [0, 1)")
        self.decay = decay

    def draw(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """B, and W as it was when B was last updated."""
        drawn = super().draw(weight, generator)
        return torch.stack([drawn.to(weight), weight.detach()])

    def matrix(self, weight: Tensor, feedback: Tensor) -> Tensor:
        """B, after W's last update if there was one."""
        own, before = feedback[0], feedback[1]
        if not torch.equal(weight, before):
            own += weight - before + self.decay * (before - own)
            before.copy_(weight)
        return own
