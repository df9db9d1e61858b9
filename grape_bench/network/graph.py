"""Dominators of the traced autograd graph: activations through which everything before them flows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Node = Any  # torch.autograd.graph.Node; its subclasses are made at run time


@dataclass(frozen=True)
class FlowGraph:
    """The input-dependent part of an autograd graph, walked from the output toward the input.

    `order` is topological: every node comes before the nodes below it. `below` maps a node to the next nodes toward the
    input.
    """

    order: list[Node]
    below: dict[Node, list[Node]]

    def clean(self) -> set[Node]:
        """Nodes that no path bypasses: everything below such a node can be reached only through it.

        If such an activation is detached, no gradient of the output leaks past it. A clean node dominates all that it
        reaches, so no edge may enter its dominator subtree from outside. An edge (u, v) therefore rules out u and its
        dominators, up to but not including the immediate dominator of v.
        """
        # Example: x -> h1 -> h2 -> y, and a skip connection h1 -> y. From the output, `below` is
        #   y: [h2, h1], h2: [h1], h1: [x].  Immediate dominators: h2 by y, h1 by y (two paths to it), x by h1.
        # The edge (h2, h1) rules out h2: if h2 is detached, the gradient still reaches h1 over the skip. Clean: y, h1,
        # x.
        dominator = self._immediate_dominators()
        leaks = dict.fromkeys(self.order, 0)
        for node in self.order:
            for target in self.below[node]:
                leaks[node] += 1
                leaks[dominator[target]] -= 1
        for node in reversed(self.order[1:]):
            leaks[dominator[node]] += leaks[node]
        return {node for node in self.order if leaks[node] == 0}

    def subtree(self, top: Node) -> set[Node]:
        """`top` and all nodes reachable from it."""
        return reach([top], self.below)

    def tail(self, node: Node) -> list[Node]:
        """`node` and the nodes below it, as long as each reads one activation and no parameter."""
        found = []
        while node in self.below and len(_next(node)) == len(self.below[node]) == 1:
            found.append(node)
            node = self.below[node][0]
        return found

    def leaks(self, cuts: Collection[Node], outputs: Sequence[Node] = ()) -> set[Node]:
        """The `cuts` that fail: the output's own gradient reaches below them even with all cuts detached.

        If there are several `outputs`, one from which a cut activation is computed is a head, and may be reached.
        """
        # Example: a VAE returns (picture, mu, logvar). z is computed from mu, so mu is below the cuts of the decoder.
        # The layer of mu gets the exact gradient of the loss on mu, plus the rule's.
        stop = set(cuts)
        around = reach(self._heads(stop, outputs), self.below, stop)
        return {cut for cut in stop if not around.isdisjoint(reach([cut], self.below, stop))}

    def _heads(self, cuts: set[Node], outputs: Sequence[Node]) -> Sequence[Node]:
        """The nodes where the output's own gradient starts: all except `outputs` that are below `cuts`."""
        inner = reach(cuts, self.below) if len(outputs) > 1 else set()
        return [one for one in outputs if one not in inner] or self.order[:1]

    def apart(self, groups: Sequence[Sequence[Node]], outputs: Sequence[Node] = ()) -> bool:
        """Whether, with all groups detached, no node is below two groups, or below a group and the output."""
        stop = {node for group in groups for node in group}
        seen: set[Node] = set()
        for tops in (self._heads(stop, outputs), *groups):
            own = reach(tops, self.below, stop) | set(tops)
            if not seen.isdisjoint(own):
                return False
            seen |= own
        return True

    def _immediate_dominators(self) -> dict[Node, Node]:
        """The algorithm of Cooper, Harvey and Kennedy (2001). One sweep is enough, because the graph has no cycles."""
        rank = {node: index for index, node in enumerate(self.order)}
        dominator: dict[Node, Node] = {self.order[0]: self.order[0]}
        for node in self.order:
            for target in self.below[node]:
                meet, other = node, dominator.get(target, node)
                while meet is not other:
                    if rank[meet] > rank[other]:
                        meet = dominator[meet]
                    else:
                        other = dominator[other]
                dominator[target] = meet
        return dominator


def flow_graph(output: Node, entries: set[Node], constant: Iterable[Node] = ()) -> FlowGraph:
    """The nodes between `output` and the input, which enters at `entries`. Nodes in `constant` count as parameters."""
    fixed = set(constant)
    order = _topological(output, fixed)
    dependent: set[Node] = set()
    for node in reversed(order):
        if node in entries or any(below in dependent for below in _next(node)):
            dependent.add(node)
    dependent -= fixed
    order = [node for node in order if node in dependent]
    return FlowGraph(order, {node: [n for n in dict.fromkeys(_next(node)) if n in dependent] for node in order})


def _next(node: Node) -> list[Node]:
    return [below for below, _ in node.next_functions if below is not None]


def _topological(output: Node, fixed: set[Node]) -> list[Node]:
    """Reverse post-order of a depth-first walk. It does not recurse, because graphs can be thousands of nodes deep."""
    post: list[Node] = []
    seen = {output}
    stack = [(output, iter(_next(output)))]
    while stack:
        node, pending = stack[-1]
        for below in pending:
            if below not in seen:
                seen.add(below)
                stack.append((below, iter([] if below in fixed else _next(below))))
                break
        else:
            post.append(node)
            stack.pop()
    return post[::-1]


def reach(tops: Iterable[Node], below: dict[Node, list[Node]] | None = None, stop: Collection[Node] = ()) -> set[Node]:
    """`tops` and all nodes reachable from them, by `below` or in the whole graph. The walk does not enter `stop`."""
    stack = list(tops)
    seen = set(stack)
    while stack:
        node = stack.pop()
        for next_node in _next(node) if below is None else below[node]:
            if next_node not in seen and next_node not in stop:
                seen.add(next_node)
                stack.append(next_node)
    return seen


def parameters_reached(tops: Iterable[Node], stop: Collection[Node] = ()) -> set[int]:
    """The `id`s of the leaf tensors that get a gradient from `tops`. The walk does not enter the nodes in `stop`."""
    return {id(node.variable) for node in reach(tops, stop=stop) if hasattr(node, "variable")}
