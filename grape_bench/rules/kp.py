"""The Kolen-Pollack rule: the feedback gets the same updates as the weights (1994; Akrout et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from grape_bench.rules.backward import BackwardFeedback


class KP(BackwardFeedback):
    """FA whose B gets every update of W, and the same weight decay. So each step shrinks B - W by the decay.

    `decay` is the fraction of a weight that weight decay removes in one step (learning rate x weight decay, for SGD and
    AdamW). The update W' - W contains -decay W, and for B this is replaced by -decay B. SGD with momentum adds the
    decay to the gradient, so its velocity still contains earlier decays. `momentum` is that of SGD, and B gets its own
    velocity. Then the difference D = W - B follows V' = momentum V + decay D and D' = D - V', at a constant learning
    rate. This does not cover decay that Adam adds to its gradient. Without decay, B follows W under every optimizer.
    """

    def __init__(self, decay: float = 0.0, momentum: float = 0.0, allow_transport: bool = False) -> None:
        super().__init__(allow_transport)
        if not 0 <= decay < 1 or not 0 <= momentum < 1:
            raise ValueError("decay and momentum are in [0, 1)")
        self.decay, self.momentum = decay, momentum

    def draw(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """Stack B, a copy of W and, with momentum, the velocity V: (2 or 3, *W).

        The copy holds W at the last update of B.
        """
        drawn = super().draw(weight, generator).to(weight)
        return torch.stack([drawn, weight.detach(), *([torch.zeros_like(drawn)] if self.momentum else [])])

    def matrix(self, weight: Tensor, feedback: Tensor) -> Tensor:
        """Return B after applying the last update of W, if there was one."""
        own, before, *velocity = feedback.unbind()
        if not self.decay and not self.momentum:  # in place, because new memory costs more than the sums
            own += torch.sub(weight, before, out=before)
            before.copy_(weight)
            return own
        # Decided on the device: an `if` would synchronize with the GPU, once per weight and step. The version counter
        # of W is known on the host, but an optimizer that writes to `weight.data` does not raise it.
        updated = (weight != before).any()
        decayed = (before - own).mul_(self.decay)
        for kept in velocity:
            decayed += self.momentum * kept
            kept.copy_(torch.where(updated, decayed, kept))
        own += torch.where(updated, decayed.add_(weight - before), 0.0)
        before.copy_(weight)
        return own
