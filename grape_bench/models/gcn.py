"""The graph convolutional network of Kipf and Welling."""

from __future__ import annotations

from itertools import pairwise

from grape_bench.models.arguments import Rate, Widths
from grape_bench.models.graph import GraphLayer, GraphNetwork, library
from grape_bench.models.inputs import Inputs


def gcn(
    shape: tuple[int, ...], classes: int, inputs: Inputs, hidden: Widths = (16,), dropout: Rate = 0.5
) -> GraphNetwork:
    """Build the graph convolutional network of Kipf and Welling (2017). Raises UserError for data without a graph."""
    inputs.require("gcn", "graph")
    convolution = library("gcn").GCNConv
    widths = [shape[0], *hidden]
    layers = [GraphLayer(convolution(n_in, n_out), "relu", dropout) for n_in, n_out in pairwise(widths)]
    return GraphNetwork(layers, GraphLayer(convolution(widths[-1], classes), None, dropout))
