"""Fully connected networks."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Literal

from torch import Tensor, nn

from grape_bench.models.arguments import Widths

Activation = Literal["relu", "tanh", "gelu"]
ACTIVATIONS: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


class MLP(nn.Module):
    """Flatten, hidden layers (Linear, activation) as siblings in `hidden`, and a linear `head`.

    (N, *shape) -> (N, classes). The weights have PyTorch's default initialization.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int,
        hidden: Widths = (256, 256),
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        widths = [prod(shape), *hidden]
        layers = pairwise(widths)
        self.hidden = nn.Sequential(
            *(nn.Sequential(nn.Linear(n_in, n_out), ACTIVATIONS[activation]()) for n_in, n_out in layers)
        )
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, *shape) to logits (N, classes)."""
        logits: Tensor = self.head(self.hidden(x.flatten(1)))
        return logits
