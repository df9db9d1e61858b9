"""The Kolen-Pollack rule: the feedback gets the same updates as the weights (1994; Akrout et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from grape_bench.rules.backward import BackwardFeedback


class KP(BackwardFeedback):
    """FA whose B gets every update that W gets, and the same weight decay. B - W therefore shrinks by the decay.

    `decay` is the share of a weight that weight decay removes in one step (learning rate x weight decay, for SGD and
    AdamW). The update W' - W contains -decay W. B gets -decay B instead.
    """

    def __init__(self, decay: float = 0.0) -> None:
        if not 0 <= decay < 1:
            raise ValueError("decay is in [0, 1)")
        self.decay = decay

    def draw(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """B and a copy of W, stacked: (2, *W). The copy is W at the last update of B."""
        drawn = super().draw(weight, generator)
        return torch.stack([drawn.to(weight), weight.detach()])

    def matrix(self, weight: Tensor, feedback: Tensor) -> Tensor:
        """B, after it has received the last update of W, if there was one."""
        own, before = feedback[0], feedback[1]
        # Decided on the device: an `if` would make the host wait for the GPU, once per weight and step. The version
        # counter of W would be known on the host, but an optimizer that writes to `weight.data` does not raise it.
        updated = (weight != before).any()
        change = weight - before + self.decay * (before - own)
        own += torch.where(updated, change, 0.0)
        before.copy_(weight)
        return own
