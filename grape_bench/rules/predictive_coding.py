"""Predictive coding: activations relax before the weights learn (Whittington and Bogacz 2017; PCX 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from grape_bench.network.block import Block
from grape_bench.network.phases import Activations, FirstPhase, Held
from grape_bench.network.preserve import full_precision
from grape_bench.rules.two_phase import TwoPhase

if TYPE_CHECKING:
    from grape_bench.network.network import Network


class PredictiveCoding(TwoPhase):
    """The gradient of E = L + sum_l ||v_l - f_l(v_{l-1})||^2 / 2N at states v_l that have moved down E.

    This is the form of PCX (Pinchetti et al. 2024). The states start at the activations h_l of the training forward,
    where E equals the loss, and take `steps` steps of gradient descent with step size `rate`. Then the blocks' weights
    get the gradient of E. All blocks relax in parallel, but each uses its transposed weights, once per step. The head
    gets its true gradient, at the activations of the training forward. States and energy are in full precision, also
    under autocast: one step changes a state only slightly.
    """

    weight_transport: ClassVar[bool] = True

    def __init__(self, steps: int = 8, rate: float = 0.1) -> None:
        if steps < 1 or rate <= 0:
            raise ValueError("steps must be at least 1, and rate positive")
        self.steps, self.rate = steps, rate

    @override
    def bp_fraction(self, batches: int, epochs: float) -> float:
        """Every relaxation step sends a gradient through each block."""
        return float(self.steps)

    @override
    def second_phase(self, network: Network, first: FirstPhase) -> None:
        """Relax the states, then leave the gradients of the energy in `.grad`."""
        dtype = next(network.model.parameters()).dtype  # autocast's activations are less precise
        states = {key: output.to(dtype, copy=True).requires_grad_() for key, output in first.outputs.items()}
        with full_precision(network.device):
            for _ in range(self.steps):
                gradients = torch.autograd.grad(self._energy(network, first, states), list(states.values()))
                for state, gradient in zip(states.values(), gradients, strict=True):
                    state.data -= self.rate * first.samples * gradient
            self._energy(network, first, {key: state.detach() for key, state in states.items()}).backward()
            self.subtract_head(network, first)

    def _energy(self, network: Network, first: FirstPhase, states: Activations) -> Tensor:
        """The loss plus the prediction errors, averaged over samples."""
        relaxed = _Relaxed(states)
        loss = network.loss_of(network.aside(relaxed, first.batch))
        return loss + relaxed.surprise / first.samples


class _Relaxed(Held):
    """A forward in which the model sees each block's state instead of its output."""

    def __init__(self, states: Activations) -> None:
        super().__init__(states)
        self.surprise: Tensor | float = 0.0

    @override
    def cut(self, block: Block, output: Tensor) -> Tensor:
        """Add the block's prediction error to the energy and return its state."""
        self.surprise = self.surprise + (self.outputs[block.key] - output).square().sum() / 2
        return super().cut(block, output)
