"""Feedback alignment through few connections: the feedback of a weight, drawn once."""

import torch

import grape_bench as gb


class SparseFA(gb.BackwardFeedback):
    """As `fa`, but only a `share` of the entries of B is not zero. These are larger, so that B keeps its norm."""

    def __init__(self, share: float = 0.25) -> None:
        super().__init__()
        self.share = share

    def draw(self, weight: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Draw B, shaped like `weight`, once when the rule is attached. `generator` is on the CPU."""
        dense = super().draw(weight, generator)
        kept = torch.rand(weight.shape, generator=generator) < self.share
        return dense * kept.to(weight.device) / self.share**0.5

    # `matrix(weight, feedback)` would change B in every backward. A matrix that reads `weight` is weight transport,
    # and the class would have to declare `weight_transport = True`.
