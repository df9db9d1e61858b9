"""Cuts that are clean together, though none is alone: where activations go on side by side."""

from __future__ import annotations

from collections import Counter, defaultdict

from torch import nn

from grape_bench.network.graph import FlowGraph, reach
from grape_bench.network.trace import Call

Kind = type[nn.Module]


def joint_cuts(calls: list[Call], streams: list[Call], graph: FlowGraph) -> list[Call]:
    """Cuts at all activations of the kinds that are repeated among siblings, as far as they are clean together.

    First the kinds with several activations, then those below them; of both, those of which there are more. Where none
    has several, all modules of one container (cells that read the two before them). Empty where nothing fits.
    """
    siblings = Counter((call.name.rpartition(".")[0], call.kind) for call in calls)
    of_kind: dict[Kind, list[Call]] = defaultdict(list)
    for call in calls:
        of_kind[call.kind].append(call)
    groups = {kind: with_streams(of_kind[kind], streams, graph) for (_, kind), count in siblings.items() if count > 1}
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
    """The largest of those that are apart."""
    held = [[call for call in calls if call.name.rpartition(".")[0] == container] for container in sorted(containers)]
    return max((own for own in held if _apart(own, graph)), key=len, default=[])


def with_streams(calls: list[Call], streams: list[Call], graph: FlowGraph) -> list[Call]:
    """`calls` with the further activations of their modules, as far as the network goes on with them.

    It does not where an activation leads to the output through the module's others alone.
    """
    out: list[Call] = []
    for call in calls:
        further = [made for made in streams if made.name == call.name and made.node in graph.below]
        own = {made.node: made for made in (call, *further)}
        used = (node for node in own if node in reach(graph.order[:1], graph.below, own.keys() - {node}))
        out += [own[node] for node in used] if further else [call]
    return out


def _within(inner: str, outer: str) -> bool:
    return inner.startswith(outer + ".")


def _apart(cuts: list[Call], graph: FlowGraph) -> bool:
    modules: dict[str, list[Call]] = defaultdict(list)
    for cut in cuts:
        modules[cut.name].append(cut)
    return graph.apart([[cut.node for cut in made] for made in modules.values()])
