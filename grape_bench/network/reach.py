"""Which parameters get gradients from the network's output, and which from the cuts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Literal

from torch import Tensor, nn

from grape_bench.network.block import Block
from grape_bench.network.graph import Node, parameters_reached
from grape_bench.network.trace import Trace

Credit = Literal["rule", "exact", "frozen", "owned"]
Exact = Literal["above the cuts", "after the last linear map"]

HEAD = ""
"""The key in `Reach.segments` of the part above the last block."""


class Reach:
    """Names of parameters, grouped by the nodes of the traced graph from which they are reached.

    `segments` maps each block's name, and `HEAD`, to the parameters between it and the cuts below. `shared` lists the
    parameters that are in several segments.
    """

    # Example: embed -> blocks.0 -> blocks.1 -> head, with head.weight tied to embed.weight (V, C).
    #   segments = {"blocks.0": {embed.weight, blocks.0.*}, "blocks.1": {blocks.1.*}, "": {embed.weight, head.bias}}
    #   credit("rule", "above the cuts") = {head.bias: "exact", all others: "rule"}; embed.weight is in `shared`

    def __init__(self, model: nn.Module, traced: Trace, blocks: Sequence[Block]) -> None:
        cut_at = {block.name: traced.nodes(block) for block in blocks}
        cuts, gates = set(chain(*cut_at.values())), traced.weights.gates
        name_of = {id(parameter): name for name, parameter in model.named_parameters()}

        def reached(tops: Iterable[Node], **limits: Any) -> set[str]:
            return {name_of[leaf] for leaf in parameters_reached(tops, **limits) if leaf in name_of}

        self.all = reached([traced.output])
        self.by_head = reached([traced.output], stop=cuts)
        self.below = reached(cuts)
        self.exactly = reached([traced.output], stop=gates) - reached(gates)
        tops = {HEAD: [traced.output], **cut_at}
        self.segments = {name: reached(own, stop=cuts - set(own)) for name, own in tops.items()}
        self.shared = [name for name, times in Counter(chain(*self.segments.values())).items() if times > 1]

    def hidden(self, model: nn.Module, unembedding: nn.Module | None) -> list[Tensor]:
        """The parameters that only the cuts reach, including a weight tied to the `unembedding`, if any."""
        tied = set() if unembedding is None else {id(parameter) for parameter in unembedding.parameters()}
        own = {name for name in self.by_head if id(model.get_parameter(name)) not in tied}
        return [parameter for name, parameter in model.named_parameters() if name in self.below - own]

    def credit(self, hidden: Credit, exact: Exact) -> dict[str, Credit]:
        """Name of each parameter that the loss depends on -> its credit; see `Network.credit`."""
        tied = self.by_head & self.below
        top = self.exactly if exact == "after the last linear map" else self.by_head - tied
        if hidden == "exact":
            return dict.fromkeys(self.all, hidden)
        partial: dict[str, Credit] = dict.fromkeys(tied, "rule")
        return dict.fromkeys(self.all, hidden) | partial | dict.fromkeys(top, "exact")
