"""Dominators of the traced autograd graph: through which activations does everything before them flow?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from grape_bench.network.trace import Node


@dataclass(frozen=True)
class FlowGraph:
    """The input-dependent part of an autograd graph, walked from the output towards the input.

    `order` is topological (every node before those it leads to); `below` maps a node to the next ones.
    """

    order: list[Node]
    below: dict[Node, list[Node]]

    def clean(self) -> set[Node]:
        """Nodes that everything reachable from them can only be reached through.

        With such an activation detached no gradient of the output leaks past it. Such a node dominates all
        that it reaches, so no edge may enter its dominator subtree from outside: an edge (u, v) rules out
        u and its dominators up to, not including, the immediate dominator of v.
        """
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
        """`top` and all that is reachable from it."""
        return set(_reach([top], self.below))

    def _immediate_dominators(self) -> dict[Node, Node]:
        """Cooper, Harvey and Kennedy (2001); one sweep is enough, as the graph has no cycle."""
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
    """The nodes between `output` and the input, which enters at `entries`; `constant` ones count as parameters."""
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
    """Reverse post-order of a depth-first walk, without recursion: graphs are thousands of nodes deep."""
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


def _reach(tops: list[Node], below: dict[Node, list[Node]]) -> Iterable[Node]:
    seen = set(tops)
    stack = list(tops)
    while stack:
        for node in below[stack.pop()]:
            if node not in seen:
                seen.add(node)
                stack.append(node)
    return seen


LINEAR_NODES = ("AddmmBackward", "MmBackward", "ConvolutionBackward", "LinearBackward")


def parameters_reached(tops: Iterable[Node], stop: set[Node] | None = None, past_linear: bool = True) -> set[int]:
    """The `id`s of the leaf tensors that get a gradient from `tops`.

    The walk does not pass the nodes in `stop`, nor, without `past_linear`, a linear map on the way to its input.
    """
    stack = list(tops)
    seen = set(stack)
    leaves: set[int] = set()
    while stack:
        node = stack.pop()
        if hasattr(node, "variable"):
            leaves.add(id(node.variable))
        below = _next(node)
        if not past_linear and node.name().startswith(LINEAR_NODES):
            below = [n for n in below if hasattr(n, "variable") or n.name().startswith("TBackward")]
        for next_node in below:
            if next_node not in seen and next_node not in (stop or ()):
                seen.add(next_node)
                stack.append(next_node)
    return leaves
