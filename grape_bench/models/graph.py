"""Shared by graph networks of PyTorch Geometric. The extra `graph` installs the library."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from grape_bench.models.arguments import missing_extra

Activation = Literal["relu", "elu"]
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {"relu": F.relu, "elu": F.elu}


def library(model_id: str) -> Any:
    """Import `torch_geometric.nn`. Raises UserError if it is not installed."""
    try:
        return import_module("torch_geometric.nn")
    except ImportError as error:
        raise missing_extra(model_id, "torch_geometric", "graph") from error


class GraphLayer(nn.Module):
    """Dropout of the inputs, a graph convolution and an activation: (nodes, n_in) -> (nodes, n_out)."""

    def __init__(self, convolution: nn.Module, activation: Activation | None, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.convolution = convolution
        self.activation = ACTIVATIONS[activation] if activation else None

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Map the nodes. `edges` (2, E) go from neighbor to node."""
        made: Tensor = self.convolution(self.dropout(x), edges)
        return self.activation(made) if self.activation else made


class GraphNetwork(nn.Module):
    """Hidden `layers` and a `head`, all graph convolutions: (nodes, F) and edges (2, E) -> (nodes, classes)."""

    def __init__(self, layers: list[GraphLayer], head: GraphLayer) -> None:
        super().__init__()
        self.layers, self.head = nn.ModuleList(layers), head

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Map the features of all nodes to logits."""
        for layer in self.layers:
            x = layer(x, edges)
        logits: Tensor = self.head(x, edges)
        return logits
