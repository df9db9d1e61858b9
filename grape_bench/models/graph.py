"""Graph networks of PyTorch Geometric for classes of nodes. Installed by the extra `graph`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from grape_bench.models.arguments import Count, Rate, Widths, missing_extra
from grape_bench.models.inputs import Inputs

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
        """Map the nodes, with `edges` (2, E) from neighbor to node."""
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


def gcn(
    shape: tuple[int, ...], classes: int, inputs: Inputs, hidden: Widths = (16,), dropout: Rate = 0.5
) -> GraphNetwork:
    """Build the graph convolutional network of Kipf and Welling (2017). Raises UserError for data without a graph."""
    inputs.require("gcn", "graph")
    convolution = library("gcn").GCNConv
    widths = [shape[0], *hidden]
    layers = [GraphLayer(convolution(n_in, n_out), "relu", dropout) for n_in, n_out in pairwise(widths)]
    return GraphNetwork(layers, GraphLayer(convolution(widths[-1], classes), None, dropout))


def gat(
    shape: tuple[int, ...],
    classes: int,
    inputs: Inputs,
    hidden: Widths = (8,),
    heads: Count = 8,
    dropout: Rate = 0.6,
) -> GraphNetwork:
    """Build the graph attention network of Velickovic et al. (2018), with `hidden` units in each of the `heads`.

    The last layer has one head. Dropout applies to the attention too. Raises UserError for data without a graph.
    """
    inputs.require("gat", "graph")
    attention = library("gat").GATConv
    sizes = [shape[0], *(heads * width for width in hidden)]
    layers = [
        GraphLayer(attention(n_in, width, heads=heads, dropout=dropout), "elu", dropout)
        for n_in, width in zip(sizes, hidden, strict=False)
    ]
    return GraphNetwork(layers, GraphLayer(attention(sizes[-1], classes, dropout=dropout), None, dropout))
