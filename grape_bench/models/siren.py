"""Sinusoidal coordinate networks."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from grape_bench.models.arguments import Positive, Widths
from grape_bench.models.coordinates import CoordinateNetwork, coordinate_count
from grape_bench.models.inputs import Inputs


class Sine(nn.Module):
    """sin(omega * (W x + b)): (N, n_in) -> (N, n_out), with the weights of Sitzmann et al. 2020, section 3.2."""

    def __init__(self, n_in: int, n_out: int, omega: float, *, first: bool) -> None:
        super().__init__()
        self.omega = omega
        self.linear = nn.Linear(n_in, n_out)
        bound = 1 / n_in if first else math.sqrt(6 / n_in) / omega
        nn.init.uniform_(self.linear.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, n_in)."""
        return torch.sin(self.omega * self.linear(x))


def siren(
    shape: tuple[int, ...],
    classes: int,
    inputs: Inputs,
    hidden: Widths = (256, 256, 256),
    omega: Positive = 30.0,
) -> CoordinateNetwork:
    """Build the sinusoidal network of Sitzmann et al. (2020). Raises UserError unless samples are vectors."""
    widths = [coordinate_count("siren", shape, inputs), *hidden]
    layers: list[nn.Module] = [
        Sine(n_in, n_out, omega, first=index == 0) for index, (n_in, n_out) in enumerate(pairwise(widths))
    ]
    head = nn.Linear(widths[-1], classes)
    bound = math.sqrt(6 / widths[-1]) / omega
    nn.init.uniform_(head.weight, -bound, bound)
    return CoordinateNetwork(nn.Identity(), layers, head)
