"""Cuts that are clean together although none is clean alone: activations that run side by side."""

from __future__ import annotations

from collections import Counter, defaultdict

from torch import nn

from grape_bench.network.graph import FlowGraph, reach
from grape_bench.network.recorder import Call


def joint_cuts(calls: list[Call], further: list[Call], graph: FlowGraph) -> list[Call]:
    """Cuts that are clean together although none is clean alone, for activations that run side by side.

    Tries the module classes that repeat among siblings. Classes whose modules return several activations come first,
    then the classes below them, more frequent ones first. If no class returns several, tries all modules of one
    container (cells that read the two cells before them). Returns an empty list if nothing fits.
    """
    # Example: three modules Pair at layers.0 .. layers.2, each returns (a, b), both (N, 32), and reads both.
    #   If only a is detached, the gradient still reaches everything below through b. So each layer needs both detached.
    #   Result: the six cuts layers.0, layers.0[1], layers.1, layers.1[1], layers.2, layers.2[1].
    siblings = Counter((call.name.rpartition(".")[0], call.kind) for call in calls)
    of_kind: dict[type[nn.Module], list[Call]] = defaultdict(list)
    for call in calls:
        of_kind[call.kind].append(call)
    groups = {kind: with_further(of_kind[kind], further, graph) for (_, kind), count in siblings.items() if count > 1}
    several = [kind for kind in groups if len(groups[kind]) > len(of_kind[kind])]
    chosen: list[Call] = []
    for kind in sorted(groups, key=lambda kind: (kind not in several, -len(of_kind[kind]))):
        below = reach([call.node for call in chosen], graph.below)
        fits = kind in several or all(call.node in below for call in groups[kind])
        nested = any(_within(a.name, b.name) or _within(b.name, a.name) for a in groups[kind] for b in chosen)
        if fits and not nested and _apart([*chosen, *groups[kind]], graph):
            chosen += groups[kind]
    position = {call.name: index for index, call in enumerate(calls)}
    if not chosen:
        chosen = _of_one_container(calls, {container for (container, _), count in siblings.items() if count > 1}, graph)
    return sorted(chosen, key=lambda call: (position[call.name], call.index))


def _of_one_container(calls: list[Call], containers: set[str], graph: FlowGraph) -> list[Call]:
    """The largest set of calls in one of `containers` that is clean together, or an empty list."""
    held = [[call for call in calls if call.name.rpartition(".")[0] == container] for container in sorted(containers)]
    return max((own for own in held if _apart(own, graph)), key=len, default=[])


def with_further(calls: list[Call], further: list[Call], graph: FlowGraph) -> list[Call]:
    """`calls`, plus the further activations that their modules return and the network uses.

    An activation is used if it reaches the output without passing through the module's other activations.
    """
    out: list[Call] = []
    for call in calls:
        beside = [made for made in further if made.name == call.name and made.node in graph.below]
        own = {made.node: made for made in (call, *beside)}
        used = (node for node in own if node in reach(graph.order[:1], graph.below, own.keys() - {node}))
        out += [own[node] for node in used] if beside else [call]
    return out


def _within(inner: str, outer: str) -> bool:
    return inner.startswith(outer + ".")


def _apart(cuts: list[Call], graph: FlowGraph) -> bool:
    modules: dict[str, list[Call]] = defaultdict(list)
    for cut in cuts:
        modules[cut.name].append(cut)
    return graph.apart([[cut.node for cut in made] for made in modules.values()])
