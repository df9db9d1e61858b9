"""Networks of coordinates: a SIREN, and a network on Fourier features."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from grape_bench.errors import UserError
from grape_bench.models.arguments import Positive, Widths
from grape_bench.models.inputs import Inputs

Features = Annotated[int, Field(ge=0, description="a number of frequencies, 0 for the coordinates themselves")]


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


class Fourier(nn.Module):
    """Cosines and sines of random frequencies: (N, n_in) -> (N, 2 * features). Nothing is trained.

    Frequencies are normal with the standard deviation `scale` (Tancik et al. 2020, section 6).
    """

    frequencies: Tensor

    def __init__(self, n_in: int, features: int, scale: float) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(n_in, features) * scale)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, n_in)."""
        angles = 2 * math.pi * x @ self.frequencies
        return torch.cat([angles.cos(), angles.sin()], 1)


class CoordinateNetwork(nn.Module):
    """An `encoding`, layers as siblings in `hidden`, and a linear `head`: (N, coordinates) -> (N, outputs)."""

    def __init__(self, encoding: nn.Module, hidden: list[nn.Module], head: nn.Linear) -> None:
        super().__init__()
        self.encoding, self.hidden, self.head = encoding, nn.Sequential(*hidden), head

    def forward(self, x: Tensor) -> Tensor:
        """Map coordinates to values, such as the channels of a pixel."""
        values: Tensor = self.head(self.hidden(self.encoding(x)))
        return values


def siren(
    shape: tuple[int, ...],
    classes: int,
    inputs: Inputs,
    hidden: Widths = (256, 256, 256),
    omega: Positive = 30.0,
) -> CoordinateNetwork:
    """Build the sinusoidal network of Sitzmann et al. (2020). Raises UserError unless samples are vectors."""
    widths = [_coordinates("siren", shape, inputs), *hidden]
    layers: list[nn.Module] = [
        Sine(n_in, n_out, omega, first=index == 0) for index, (n_in, n_out) in enumerate(pairwise(widths))
    ]
    head = nn.Linear(widths[-1], classes)
    bound = math.sqrt(6 / widths[-1]) / omega
    nn.init.uniform_(head.weight, -bound, bound)
    return CoordinateNetwork(nn.Identity(), layers, head)


def coordinate_mlp(
    shape: tuple[int, ...],
    classes: int,
    inputs: Inputs,
    hidden: Widths = (256, 256, 256),
    features: Features = 256,
    scale: Positive = 10.0,
) -> CoordinateNetwork:
    """Build the ReLU network on Fourier features of Tancik et al. (2020), without their sigmoid at the output.

    Frequencies are drawn for coordinates from 0 to 1, so those of data from -1 to 1 are half as high.
    Raises UserError unless samples are vectors.
    """
    n_in = _coordinates("coordinate-mlp", shape, inputs)
    # Half the scale, because coordinates from -1 to 1 span twice the range of the paper's.
    encoding = Fourier(n_in, features, scale / 2) if features else nn.Identity()
    widths = [2 * features or n_in, *hidden]
    layers: list[nn.Module] = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(widths)]
    return CoordinateNetwork(encoding, layers, nn.Linear(widths[-1], classes))


def _coordinates(model_id: str, shape: tuple[int, ...], inputs: Inputs) -> int:
    inputs.require(model_id, "values")
    if len(shape) != 1:
        what = f"the model needs coordinates, not samples of shape {shape}"
        raise UserError(what, where=model_id, hint='model = "mlp"')
    return shape[0]
