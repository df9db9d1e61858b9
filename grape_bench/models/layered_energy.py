"""A layered energy model whose prediction is the rest state of its output units (Scellier and Bengio 2017)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from grape_bench.models.arguments import Count, Widths
from grape_bench.network.preserve import full_precision

StepSize = Annotated[float, Field(gt=0, le=1, description="a number above 0, and 1 at most")]


class EnergyLayer(nn.Module):
    """Units from 0 to 1, a symmetric connection to the layer below, and a bias.

    (below (N, n_in), top-down input (N, n_out)) -> the state (N, n_out) with the least energy, given the layers around
    it.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(n_out, n_in)))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, below: Tensor, top_down: Tensor) -> Tensor:
        """rho(W below + b + the top-down input), with the hard sigmoid rho(s) = min(max(s, 0), 1)."""
        return (F.linear(below, self.weight, self.bias) + top_down).clamp(0, 1)


class LayeredEnergy(nn.Module):
    """E = sum_l ||s_l||^2 / 2 - s_l (W_l s_{l-1} + b_l), with s_0 = x and states s_l from 0 to 1.

    (N, *shape) -> the output units (N, classes) at rest. From zero, all states take `steps` simultaneous steps s <-
    rho(s - epsilon dE/ds). Then each layer in `hidden`, and finally `head`, takes the state of least energy given its
    neighbors. Only this sweep has a graph, and in it the input from above is a constant. So a cut between two layers is
    clean. Inputs may have any sign, so they are not clipped. The weights are initialized as in Glorot and Bengio 2010.
    The states always use full precision, because the forces on them are weak.
    """

    # Example: x (N, 64), hidden = [500], 10 classes: s_1 (N, 500), s_2 (N, 10), W_1 (500, 64), W_2 (10, 500).
    #   -dE/ds_1 = W_1 x + b_1 + W_2^T s_2 - s_1;  -dE/ds_2 = W_2 s_1 + b_2 - s_2

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int,
        hidden: Widths = (500,),
        steps: Count = 20,
        epsilon: StepSize = 0.5,
    ) -> None:
        super().__init__()
        self.steps, self.epsilon = steps, epsilon
        widths = [prod(shape), *hidden]
        self.hidden = nn.ModuleList(EnergyLayer(n_in, n_out) for n_in, n_out in pairwise(widths))
        self.head = EnergyLayer(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, *shape) to output units (N, classes), each from 0 to 1."""
        with full_precision(x.device):
            zero = [x.new_zeros(len(x), len(layer.bias)) for layer in self._layers()]
            states = self.relax(x, zero, self.steps)
            state = x.flatten(1)
            for index, layer in enumerate(self.hidden):
                state = layer(state, self._top_down(states, index))
            output: Tensor = self.head(state, torch.zeros_like(states[-1]))
        return output

    @torch.no_grad()
    def relax(
        self,
        x: Tensor,
        states: Sequence[Tensor],
        steps: int,
        force: Callable[[Tensor], Tensor] = torch.zeros_like,
    ) -> list[Tensor]:
        """Return the states after `steps` steps. `force` maps the output units to the external force on them."""
        now = list(states)
        for _ in range(steps):
            driven = zip(self._layers(), [x.flatten(1), *now[:-1]], strict=True)
            up = [F.linear(below, layer.weight, layer.bias) for layer, below in driven]
            down = [self._top_down(now, index) for index in range(len(self.hidden))] + [force(now[-1])]
            now = [
                (state + self.epsilon * (one + other - state)).clamp(0, 1)
                for state, one, other in zip(now, up, down, strict=True)
            ]
        return now

    def energy(self, x: Tensor, states: Sequence[Tensor]) -> Tensor:
        """The energy, summed over samples."""
        below = [x.flatten(1), *states[:-1]]
        terms = [
            state.square().sum() / 2 - (state * F.linear(under, layer.weight, layer.bias)).sum()
            for layer, under, state in zip(self._layers(), below, states, strict=True)
        ]
        return torch.stack(terms).sum()

    def _layers(self) -> list[EnergyLayer]:
        return [*self.hidden, self.head]

    @torch.no_grad()
    def _top_down(self, states: Sequence[Tensor], index: int) -> Tensor:
        """W_{l+1}^T s_{l+1}, for the hidden layer number `index`."""
        return F.linear(states[index + 1], self._layers()[index + 1].weight.t())
