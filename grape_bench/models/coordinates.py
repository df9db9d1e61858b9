"""Shared by coordinate networks."""

from __future__ import annotations

from torch import Tensor, nn

from grape_bench.errors import UserError
from grape_bench.models.inputs import Inputs


class CoordinateNetwork(nn.Module):
    """An `encoding`, layers as siblings in `hidden`, and a linear `head`: (N, coordinates) -> (N, outputs)."""

    def __init__(self, encoding: nn.Module, hidden: list[nn.Module], head: nn.Linear) -> None:
        super().__init__()
        self.encoding, self.hidden, self.head = encoding, nn.Sequential(*hidden), head

    def forward(self, x: Tensor) -> Tensor:
        """Map coordinates to values, such as the channels of a pixel."""
        values: Tensor = self.head(self.hidden(self.encoding(x)))
        return values


def coordinate_count(model_id: str, shape: tuple[int, ...], inputs: Inputs) -> int:
    """Return the number of coordinates. Raises UserError unless samples are vectors."""
    inputs.require(model_id, "values")
    if len(shape) != 1:
        what = f"the model needs coordinates, not samples of shape {shape}"
        raise UserError(what, where=model_id, hint='model = "mlp"')
    return shape[0]
