"""DFA for graph networks: dL/dh_l := S^(L-l) E B_l, where unlabeled nodes get pseudo-errors (Zhao et al. 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from typing_extensions import override

from grape_bench.errors import DoesNotApplyError
from grape_bench.network.block import Block
from grape_bench.network.passes import CutPass, Pass
from grape_bench.network.trees import tensors
from grape_bench.rules.direct import DirectFeedback

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.trace import Batch


class DFAGNN(DirectFeedback):
    """S is the normalized adjacency. Block l has L - l graph convolutions above it. B_l is fixed and random.

    The errors of labeled nodes spread along the graph, `iterations` times: E <- (1 - alpha) E_0 + alpha S E. An
    unlabeled node that they reach gets the result, scaled to the mean 1-norm of a labeled node's error. With `alpha` =
    0, unlabeled nodes have no error.
    """

    def __init__(self, alpha: float = 0.5, iterations: int = 20) -> None:
        super().__init__()
        if not 0 <= alpha < 1 or iterations < 0:
            raise ValueError("alpha must be in [0, 1), and iterations must not be negative")
        self.alpha, self.iterations = alpha, iterations

    @override
    def setup(self, network: Network) -> None:
        """Draw B_l. Raises DoesNotApplyError for a network without a graph."""
        edges_of(network.example)
        if any(len(block.shape) != 1 for block in network.blocks):
            raise DoesNotApplyError("a block is not a vector per node")
        super().setup(network)
        self._hops = {block.name: len(network.blocks) - index for index, block in enumerate(network.blocks)}

    @override
    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a pass that cuts at every block. It spreads the errors once, for all blocks."""
        return _SpreadPass(self, edges_of(batch))

    def spread(self, error: Tensor, graph: Graph) -> Tensor:
        """The errors of all nodes (nodes, n_out), including pseudo-errors for unlabeled nodes."""
        sizes = error.abs().sum(1, keepdim=True)
        labeled = sizes > 0
        spread = error
        for _ in range(self.iterations if self.alpha else 0):
            spread = (1 - self.alpha) * error + self.alpha * graph.back(spread)
        arrived = spread.abs().sum(1, keepdim=True)
        mean = sizes.sum() / labeled.sum().clamp(min=1)
        pseudo = torch.where(arrived > 0, spread * (mean / arrived), 0.0)
        return torch.where(labeled, error, pseudo)

    def send(self, block: Block, errors: Tensor, graph: Graph) -> Tensor:
        """The signal of a block, given the errors of all nodes."""
        for _ in range(self._hops[block.name]):
            errors = graph.back(errors)
        return self._sent(block, errors)


class Graph:
    """The normalized adjacency S = D^-1/2 (A + I) D^-1/2 of `edges` (2, E), from neighbor to node."""

    def __init__(self, edges: Tensor, nodes: int, dtype: torch.dtype) -> None:
        own = torch.arange(nodes, device=edges.device)
        self.source, self.target = torch.cat([edges, own.expand(2, -1)], 1)
        counted = torch.cat([edges[0] != edges[1], torch.ones_like(own)]).to(dtype)  # A + I counts each self-loop once
        degree = torch.zeros(nodes, device=edges.device, dtype=dtype).index_add_(0, self.target, counted)
        self.weight = (counted * (degree[self.source] * degree[self.target]).rsqrt())[:, None]

    def back(self, rows: Tensor) -> Tensor:
        """Return S^T times the rows (nodes, n), the backward of a graph convolution."""
        return torch.zeros_like(rows).index_add_(0, self.source, self.weight * rows[self.target])


class _SpreadPass(CutPass):
    """A cut pass that computes its signals from the errors of all nodes."""

    independent = False  # a lean step computes the signals in a separate pass, which spreads no errors

    def __init__(self, rule: DFAGNN, edges: Tensor) -> None:
        super().__init__(lambda block, _: rule.send(block, self.errors, self.graph))
        self.rule, self.edges = rule, edges

    @override
    def receive(self, error: Tensor) -> None:
        """Spread the error along the graph."""
        super().receive(error)
        self.graph = Graph(self.edges, len(error), error.dtype)
        self.errors = self.rule.spread(error, self.graph)


def edges_of(batch: Any) -> Tensor:
    """The edges (2, E) of a batch (features (nodes, F), edges). Raises DoesNotApplyError for any other batch."""
    given = list(tensors(batch))
    features = [one for one in given if one.is_floating_point() and one.dim() == 2 and len(one) > 2]
    edges = [one for one in given if one.dtype == torch.int64 and one.dim() == 2 and len(one) == 2]
    if len(features) != 1 or len(edges) != 1:
        raise DoesNotApplyError("errors spread along a graph, so it needs features (nodes, F) and edges (2, E)")
    return edges[0]
