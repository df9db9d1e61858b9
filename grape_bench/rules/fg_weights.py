"""Forward gradients with perturbed weights: one derivative along random v, times v (Baydin et al. 2022)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from typing_extensions import override

from grape_bench.network.passes import Pass
from grape_bench.network.phases import FirstPhase, TwoPhasePass
from grape_bench.network.tangents import TangentPass, same_dropout
from grape_bench.rules.two_phase import TwoPhase

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.trace import Batch


class FGWeights(TwoPhase):
    """dL/dw := (dL . v) v for all weights below the head at once, with v ~ N(0, I).

    A forward on dual numbers moves these weights along v. It gives the tangent d of the output, and dL . v = e . d. The
    expected value over v is the true gradient. `perturbations` draws are averaged. No backward runs below the head. The
    head gets its true gradient.
    """

    def __init__(self, perturbations: int = 1) -> None:
        if perturbations < 1:
            raise ValueError("perturbations must be at least 1")
        self.perturbations = perturbations

    @override
    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a pass that cuts at every block and ends in the second phase."""
        return _SameDropout(network, batch, lambda first: self.second_phase(network, first))

    @override
    def second_phase(self, network: Network, first: FirstPhase) -> None:
        """Leave the estimate in `.grad`."""
        weights = network.hidden_parameters()
        generator = network.generator("perturbation", network.device)
        for _ in range(self.perturbations):
            directions = [
                torch.randn(one.shape, generator=generator, device=one.device, dtype=one.dtype) for one in weights
            ]
            tangents = _WeightTangents(network.model, weights, directions)
            network.aside(tangents, first.batch)
            assert tangents.tangent is not None, "the forward has reached the output"
            slope = (first.error * tangents.tangent.to(first.error.dtype)).sum() / self.perturbations
            for weight, direction in zip(weights, directions, strict=True):
                estimate = slope.to(weight.dtype) * direction
                weight.grad = estimate if weight.grad is None else weight.grad + estimate
        with same_dropout(network.device):
            self.subtract_head(network, first, of_loss=False)


class _SameDropout(TwoPhasePass):
    """A training forward with the dropout masks of the tangent pass, so that d and e belong to the same subnetwork."""

    @override
    @contextmanager
    def around(self) -> Iterator[None]:
        with super().around(), same_dropout(self.network.device):
            yield


class _WeightTangents(TangentPass):
    """One forward on dual numbers, in which only `weights` are perturbed, along `directions`."""

    def __init__(self, model: nn.Module, weights: Sequence[Tensor], directions: Sequence[Tensor]) -> None:
        super().__init__(lambda block, output: None)
        self._moved = True
        self.model = model
        self.weights = {id(weight): pair for weight, *pair in zip(weights, weights, directions, strict=True)}

    @override
    @contextmanager
    def around(self) -> Iterator[None]:
        with super().around(), self._dual():
            yield

    @contextmanager
    def _dual(self) -> Iterator[None]:
        """Replace the parameters by dual numbers, in every module that holds them."""
        duals = {key: forward_ad.make_dual(weight.detach(), v) for key, (weight, v) in self.weights.items()}
        places = [
            (module, name, parameter)
            for module in self.model.modules()
            for name, parameter in module._parameters.items()
            if id(parameter) in duals
        ]
        try:
            for module, name, parameter in places:
                module._parameters[name] = duals[id(parameter)]
            yield
        finally:
            for module, name, parameter in places:
                module._parameters[name] = parameter
