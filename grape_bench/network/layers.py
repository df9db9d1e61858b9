"""Cuts at the inputs of modules: for modules without repeated siblings, and for loops that call a module repeatedly."""

from __future__ import annotations

from collections import defaultdict

from torch import nn

from grape_bench.network.graph import FlowGraph, Node, parameters_reached, reach
from grape_bench.network.recorder import Call, module_has_weights
from grape_bench.network.sites import Cut, Cuts, headed
from grape_bench.network.trace import Trace


def layer_cuts(trace: Trace, graph: FlowGraph, weights: set[int], cuts: Cuts) -> list[Cut]:
    """The cuts at the inputs of modules with weights, for modules that stand alone or are called several times.

    An input that depends on an earlier call of the same module comes through time. All others come through depth.
    """
    # Example: for x_t in x: h = cell_1(x_t, h); g = cell_2(h, g); return head(g).
    #   depth: block cell_1, cut at the first argument of cell_2 (T calls), and block cell_2, cut at the input of head.
    #   time:  blocks cell_1[0], cell_1[1], .. and cell_2[0], .., each cut at the state that its next call takes in,
    #          and cell_2 at the input of head too. both: h of cell_1[0] is also cut where cell_2 reads it.
    found = _outermost(_by_depth_or_time(trace, graph, weights, cuts))
    clean = _leak_free(found, graph, trace)
    inner = reach([call.node for cut in found for call in cut.at], graph.below)
    tables = [Cut(made, [made]) for made in trace.calls if isinstance(made.module, nn.Embedding) and made.node in inner]
    if tables and not _leaks(with_tables := [*tables, *found], graph, trace) and len(clean) < len(found):
        clean = with_tables  # a second branch reads the embeddings (factorization machines)
    return _ordered(clean, graph) if _sound(clean, trace, graph, weights, cuts) else []


def _by_depth_or_time(trace: Trace, graph: FlowGraph, weights: set[int], cuts: Cuts) -> list[Cut]:
    """The cuts of the chosen kind, whether or not the output's gradient bypasses them."""
    weighty = [made for made in trace.made if made.name and module_has_weights(made.module)]
    producers = {made.node: made for made in weighty if made.node in graph.below}
    own: dict[str, set[Node]] = defaultdict(set)
    for node, made in producers.items():
        own[made.name].add(node)
    usable = [
        taken
        for taken in trace.entered
        if taken.node in graph.below
        and trace.samples.axis(taken.shape) is not None
        and parameters_reached([taken.node]) & weights
    ]
    through_time = [taken for taken in usable if own[taken.name] & graph.subtree(taken.node)]
    through_depth = [taken for taken in usable if taken not in through_time]
    if cuts == "depth":
        return [Cut(_producer(calls, producers, graph), calls) for calls in _by_readers(through_depth)]
    recurrent = {taken.name for taken in through_time}
    kept = [taken for taken in through_depth if cuts == "both" or taken.name not in recurrent]
    return _by_call([*through_time, *kept], producers, graph)


def _sound(found: list[Cut], trace: Trace, graph: FlowGraph, weights: set[int], cuts: Cuts) -> bool:
    """Whether the cuts separate the layers, leave weights for the head, and are not one cut around several layers."""
    calls: dict[tuple[str, int | None], list[Node]] = defaultdict(list)
    for cut in found:  # all outputs of one call share a graph (h and c of an LSTM)
        calls[cut.made.name, cut.turn] += [call.node for call in cut.at]
    if cuts != "time" and not graph.apart(list(calls.values()), trace.tops):
        return False
    inside = parameters_reached([node for nodes in calls.values() for node in nodes]) & weights
    layers = [module for module in trace.modules if inside & {id(p) for p in module.parameters(recurse=False)}]
    lumped = len(found) == 1 and len([one for one in layers if module_has_weights(one)]) > 1
    return not lumped and bool(headed([call for cut in found for call in cut.at], trace, graph, weights))


def _by_readers(edges: list[Call]) -> list[list[Call]]:
    """Group the inputs of each module at all of its calls with those of modules that read the same activations."""
    by_module: dict[str, list[Call]] = defaultdict(list)
    for taken in edges:
        by_module[taken.name].append(taken)
    shared: dict[frozenset[Node], list[Call]] = defaultdict(list)
    for calls in by_module.values():
        shared[frozenset(one.node.next_functions[0][0] for one in calls)] += calls
    return list(shared.values())


def _by_call(edges: list[Call], producers: dict[Node, Call], graph: FlowGraph) -> list[Cut]:
    """One cut per activation and all modules that read it, that is, per call of the module that computes it."""
    shared: dict[Node, list[Call]] = defaultdict(list)
    for taken in edges:
        shared[taken.node.next_functions[0][0]].append(taken)
    made = [(_producer(calls, producers, graph), calls) for calls in shared.values()]
    return [Cut(one, calls, one.turn) for one, calls in made]


def _producer(taken: list[Call], producers: dict[Node, Call], graph: FlowGraph) -> Call:
    """The module with weights that computes the `taken` activation: the last one called below it."""
    for node in graph.order:
        if node in producers and node in graph.subtree(taken[-1].node):
            return producers[node]
    return taken[-1]


def _outermost(found: list[Cut]) -> list[Cut]:
    """`found` without cuts inside modules whose own input is cut at the same activation."""
    nodes = {call.node for cut in found for call in cut.at}
    return [cut for cut in found if not all(call.node.next_functions[0][0] in nodes for call in cut.at)]


def _leak_free(found: list[Cut], graph: FlowGraph, trace: Trace) -> list[Cut]:
    """The cuts that no gradient of the output bypasses, alone or together with the others."""
    alone = [cut for cut in found if not _leaks([cut], graph, trace)]
    leaking = _leaks(found, graph, trace)
    together = [cut for cut in found if not any(call.node in leaking for call in cut.at)]
    return together if len(together) > len(alone) and not _leaks(together, graph, trace) else alone


def _leaks(found: list[Cut], graph: FlowGraph, trace: Trace) -> set[Node]:
    return graph.leaks([call.node for cut in found for call in cut.at], trace.tops)


def _ordered(found: list[Cut], graph: FlowGraph) -> list[Cut]:
    """Sort from the input to the output, and keep only the last cut of each name."""
    rank = {node: index for index, node in enumerate(graph.order)}
    ordered = sorted(found, key=lambda cut: -min(rank[call.node] for call in cut.at))
    last = {(cut.made.label, cut.turn): cut for cut in ordered}
    return [cut for cut in ordered if last[cut.made.label, cut.turn] is cut]
