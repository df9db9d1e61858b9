"""One class per node of a graph."""

from __future__ import annotations

from grape_bench.objectives.classification import Classification


class NodeClassification(Classification):
    """Cross-entropy of logits (nodes, classes) with labels (nodes,), scored by accuracy in percent.

    The whole graph is one batch. A split's targets are `IGNORED` at the nodes of other splits, so only its own labeled
    nodes have an error.
    """
