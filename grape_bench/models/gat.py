"""The graph attention network of Velickovic et al."""

from __future__ import annotations

from grape_bench.models.arguments import Count, Rate, Widths
from grape_bench.models.graph import GraphLayer, GraphNetwork, library
from grape_bench.models.inputs import Inputs


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
