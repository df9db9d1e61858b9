"""Simultaneous perturbation: estimate a slope from the loss at weights shifted both ways (Spall 1992; MeZO 2023)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from typing_extensions import override

from grape_bench.network.passes import Pass
from grape_bench.network.phases import FirstPhase
from grape_bench.network.preserve import full_precision
from grape_bench.rules.two_phase import TwoPhase

if TYPE_CHECKING:
    from grape_bench.network.network import Network


class SPSA(TwoPhase):
    """dL/dw := (L(w + c z) - L(w - c z)) / 2c times z, for all weights below the head at once.

    z ~ N(0, I) as in MeZO (Malladi et al. 2023). Spall draws signs instead. `perturbations` directions are averaged. c
    is `radius`. No backward runs below the head. The head gets its true gradient. Both losses are computed in full
    precision, also under autocast, because they differ only slightly.
    """

    def __init__(self, radius: float = 1e-3, perturbations: int = 1) -> None:
        if radius <= 0 or perturbations < 1:
            raise ValueError("radius must be positive, and perturbations at least 1")
        self.radius, self.perturbations = radius, perturbations

    @override
    def second_phase(self, network: Network, first: FirstPhase) -> None:
        """Leave the estimate in `.grad`."""
        weights = network.hidden_parameters()
        for _ in range(self.perturbations):
            generator = network.generator("perturbation", network.device)
            directions = [
                torch.randn(one.shape, generator=generator, device=one.device, dtype=one.dtype) for one in weights
            ]
            above, below = (self._loss(network, first, weights, directions, sign) for sign in (1, -1))
            slope = (above - below) / (2 * self.radius) / self.perturbations
            for weight, direction in zip(weights, directions, strict=True):
                estimate = slope.to(weight.dtype) * direction
                weight.grad = estimate if weight.grad is None else weight.grad + estimate
        with full_precision(network.device):
            self.subtract_head(network, first)

    def _loss(
        self, network: Network, first: FirstPhase, weights: Sequence[Tensor], directions: Sequence[Tensor], sign: int
    ) -> Tensor:
        moved = _moved(weights, directions, sign * self.radius)
        with torch.no_grad(), full_precision(network.device), moved:
            return network.loss_of(network.aside(Pass(), first.batch))


@contextmanager
def _moved(weights: Sequence[Tensor], directions: Sequence[Tensor], by: float) -> Iterator[None]:
    """Move the weights along the directions, then restore them bit for bit."""
    before = [weight.clone() for weight in weights]
    for weight, direction in zip(weights, directions, strict=True):
        weight.add_(direction, alpha=by)
    try:
        yield
    finally:
        for weight, old in zip(weights, before, strict=True):
            weight.copy_(old)
