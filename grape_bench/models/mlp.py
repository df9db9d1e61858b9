"""Fully connected networks."""

from __future__ import annotations

from itertools import pairwise
from math import prod

from torch import Tensor, nn

from grape_bench.errors import unknown
from grape_bench.models.arguments import require_widths

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


class MLP(nn.Module):
    """Flatten, hidden layers (Linear, activation) as siblings in `hidden`, and a linear `head`.

    (N, *shape) -> (N, classes). PyTorch's default initialisation. `activation` is relu, tanh or gelu.
    Raises UserError for other activations and for widths that are not positive whole numbers.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int,
        hidden: list[int] | tuple[int, ...] = (256, 256),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        widths = [prod(shape), *require_widths("mlp", "hidden", hidden)]
        if activation not in ACTIVATIONS:
            raise unknown("activation", activation, ACTIVATIONS, where="model_args of 'mlp'")
        layers = pairwise(widths)
        self.hidden = nn.Sequential(
            *(nn.Sequential(nn.Linear(n_in, n_out), ACTIVATIONS[activation]()) for n_in, n_out in layers)
        )
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, *shape) -> logits (N, classes)."""
        logits: Tensor = self.head(self.hidden(x.flatten(1)))
        return logits
