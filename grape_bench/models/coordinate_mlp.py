"""Coordinate networks with Fourier features."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from grape_bench.models.arguments import Positive, Widths
from grape_bench.models.coordinates import CoordinateNetwork, coordinate_count
from grape_bench.models.inputs import Inputs

Features = Annotated[int, Field(ge=0, description="a number of frequencies, 0 for the coordinates themselves")]


class Fourier(nn.Module):
    """Cosines and sines of random frequencies: (N, n_in) -> (N, 2 * features). It has no trained parameters.

    Frequencies are normal with standard deviation `scale` (Tancik et al. 2020, section 6).
    """

    frequencies: Tensor

    def __init__(self, n_in: int, features: int, scale: float) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(n_in, features) * scale)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, n_in)."""
        angles = 2 * math.pi * x @ self.frequencies
        return torch.cat([angles.cos(), angles.sin()], 1)


def coordinate_mlp(
    shape: tuple[int, ...],
    classes: int,
    inputs: Inputs,
    hidden: Widths = (256, 256, 256),
    features: Features = 256,
    scale: Positive = 10.0,
) -> CoordinateNetwork:
    """Build the ReLU network on Fourier features of Tancik et al. (2020), without their sigmoid at the output.

    `scale` is for coordinates from 0 to 1. Our data sets use -1 to 1, so the frequencies are half as high. Raises
    UserError unless samples are vectors.
    """
    n_in = coordinate_count("coordinate-mlp", shape, inputs)
    encoding = Fourier(n_in, features, scale / 2) if features else nn.Identity()
    widths = [2 * features or n_in, *hidden]
    layers: list[nn.Module] = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(widths)]
    return CoordinateNetwork(encoding, layers, nn.Linear(widths[-1], classes))
