"""Find the blocks of an unmodified network: repeated modules between which it can be cut cleanly."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import get_args

from torch import nn

from grape_bench.errors import UserError
from grape_bench.network.block import Block
from grape_bench.network.graph import FlowGraph, Node, flow_graph, parameters_reached
from grape_bench.network.joint import joint_cuts, with_further
from grape_bench.network.layers import layer_cuts
from grape_bench.network.recorder import Call, module_has_weights
from grape_bench.network.refusal import headless, uncut, unread
from grape_bench.network.side_by_side import SideBySide
from grape_bench.network.sites import Cut, Cuts, after_nonlinearity, headed
from grape_bench.network.trace import Trace

Kind = type[nn.Module]

ENOUGH = 0.5
"""The cuts must block backpropagation from at least this share of the weights."""


def find_blocks(
    model: nn.Module, trace: Trace, globs: Sequence[str] = (), granularity: str = "block", cuts: Cuts = "depth"
) -> list[Block]:
    """The blocks of `model`, ordered from the input to the output.

    `globs` (patterns of module names, matched level by level, such as `"layers.*"`) override the search. Granularity
    `"block"` cuts between the repeated modules. `"layer"` also cuts at every linear map inside them, but not inside
    attention (Launay et al. 2020). `cuts` applies to modules that are called several times. `"depth"` cuts between
    layers and keeps exact gradients through time, `"time"` cuts between the calls of a module, and `"both"` does both.
    There are always weights between the last cut and the output. Raises UserError if there is nothing to cut, or if the
    output's gradient would bypass a cut.
    """
    # Example, a ResNet: stem (N, 64, 8, 8) -> layers.0 .. layers.3, each with a skip connection -> fc (N, 10).
    #   clean:    stem, layers.0 .. layers.3; not layers.0.conv1, which the skip connection bypasses
    #   repeated: four siblings of class BasicBlock in `layers` -> the blocks are layers.0, .., layers.3
    for value, allowed in ((granularity, ("block", "layer")), (cuts, get_args(Cuts))):
        if value not in allowed:
            raise UserError(f"{value!r} is not one of {', '.join(allowed)}", allowed=", ".join(allowed))
    graph = trace.graph
    if not graph.order:
        raise unread(model)
    shared = SideBySide(trace, graph)
    if not shared.names or cuts != "depth":
        return [cut.block(trace) for cut in _search(model, trace, graph, globs, granularity, cuts)]
    problem, placed = None, []
    try:
        placed = _search(model, trace, graph, globs, granularity, cuts)
    except UserError as error:
        problem = error
    inner = _inside_each_call(model, shared, graph, globs, granularity)
    if problem is not None and not inner:
        raise problem
    return [cut.block(trace) for cut in (inner if len(inner) > len(placed) else placed)]


def _inside_each_call(
    model: nn.Module, shared: SideBySide, graph: FlowGraph, globs: Sequence[str], granularity: str
) -> list[Cut]:
    """The cuts inside modules that run side by side, found in one call of each and made at all calls. May be empty."""
    trace, weights = shared.trace, {id(p) for p in model.parameters() if p.dim() > 1}
    alone, within = shared.first()
    if any(call.node in graph.below and call.node not in within.below for call in (*alone.made, *alone.entered)):
        return []  # something is reached only through the other calls, such as a cell whose states a head reads
    try:
        found = [shared.at_all_calls(cut) for cut in _search(model, alone, within, globs, granularity, "depth")]
    except UserError:
        return []
    kept = headed([call for cut in found for call in cut.at], trace, graph, weights)
    found = [cut for cut in found if all(call in kept for call in cut.at)]
    nodes = [call.node for cut in found for call in cut.at]
    enough = globs or _below(model, trace, [call for cut in found for call in cut.at]) >= ENOUGH
    return found if enough and not graph.leaks(nodes, trace.tops) else []


def _search(
    model: nn.Module, trace: Trace, graph: FlowGraph, globs: Sequence[str], granularity: str, cuts: Cuts
) -> list[Cut]:
    """Find the cuts by one search. Raises UserError if there are none."""
    weights = {id(p) for p in model.parameters() if p.dim() > 1}
    calls, further = (_candidates(made, trace, graph) for made in (trace.calls, trace.further))
    used = _used(calls, further, trace)
    clean = _clean_nodes(calls, trace, graph)
    if globs:
        chosen = with_further(_named(used, globs), further, graph)
        if chosen and not headed(chosen, trace, graph, weights):
            raise headless(model, [call.label for call in chosen])
    else:
        chosen = headed(_repeated(calls, clean), trace, graph, weights)
        if len(chosen) < 2 or _below(model, trace, chosen) < ENOUGH:
            weighty = [call for call in used if module_has_weights(call.module)]
            joint = headed(joint_cuts(weighty, further, graph), trace, graph, weights)
            chosen = joint if len(joint) > len(chosen) else chosen
    if granularity == "layer":
        chosen = headed(_with_layers(chosen, used), trace, graph, weights)
    placed = [Cut(call, after_nonlinearity(call, trace, graph, weights)) for call in chosen]
    bypassed = graph.leaks([call.node for cut in placed for call in cut.at], trace.tops)
    few = len(trace.tops) > 1 or _below(model, trace, chosen) < ENOUGH
    if not globs and (cuts != "depth" or few or bypassed):
        layered = layer_cuts(trace, graph, weights, cuts)
        placed = layered if cuts != "depth" or bypassed or len(layered) >= len(placed) else placed
    leaks = graph.leaks([call.node for cut in placed for call in cut.at], trace.tops)
    share = _below(model, trace, [call for cut in placed for call in cut.at])
    if leaks or not placed or (not globs and share < ENOUGH):
        around = [cut.made.label for cut in placed if any(call.node in leaks for call in cut.at)]
        names = [call.name for call in calls if call.node in clean and module_has_weights(call.module)]
        raise uncut(model, around, names, trace)
    return placed


def _candidates(calls: list[Call], trace: Trace, graph: FlowGraph) -> list[Call]:
    """Calls between input and output that could be cut: activations whose first axis is the samples."""
    inside = [call for call in calls if call.name and call.node in graph.below and call.node is not trace.output]
    return [call for call in inside if trace.samples.axis(call.shape) is not None]


def _used(calls: list[Call], further: list[Call], trace: Trace) -> list[Call]:
    """`calls`, plus the first used activation of every other module, in the order of the forward.

    Example: CoaT's parallel blocks return four scales. The first is passed on but never read.
    """
    first = {call.name: call for call in [*reversed(further), *calls]}
    return [call for call in trace.made if first.get(call.name) is call]


def _below(model: nn.Module, trace: Trace, chosen: list[Call]) -> float:
    """The share of the weight matrices below the heads that the chosen cuts block from backpropagation."""
    head = parameters_reached(trace.tops, {call.node for call in trace.entered})
    weights = {id(p) for p in model.parameters() if p.dim() > 1} - head
    below = parameters_reached([call.node for call in chosen]) & weights
    trained = parameters_reached([trace.output]) & weights
    return len(below) / len(trained) if trained else 1.0


def _named(calls: list[Call], globs: Sequence[str]) -> list[Call]:
    for glob in globs:
        if not any(_matches(call.name, glob) for call in calls):
            patterns = dict.fromkeys(re.sub(r"(?<![^.])\d+(?![^.])", "*", call.name) for call in calls)
            allowed = ", ".join(patterns)
            raise UserError(
                f"{glob!r} matches no module that can be cut (called once per forward, samples as the first axis)",
                allowed=allowed,
            )
    return [call for call in calls if any(_matches(call.name, glob) for glob in globs)]


def _matches(name: str, glob: str) -> bool:
    """Match level by level: `layers.*` matches every layer, but no module inside a layer."""
    levels, patterns = name.split("."), glob.split(".")
    return len(levels) == len(patterns) and all(map(fnmatchcase, levels, patterns))


def _repeated(calls: list[Call], clean_nodes: set[Node]) -> list[Call]:
    """The clean calls of classes that repeat among siblings, at the finest level of nesting."""
    weighty = [call for call in calls if module_has_weights(call.module)]
    clean = [call for call in weighty if call.node in clean_nodes]
    kinds = _finest(_repeated_kinds(clean, weighty), clean)
    layers = {call.kind for call in clean if _is_leaf(call.module)}
    if not kinds or kinds & layers:
        kinds |= layers
    return _extended([call for call in clean if call.kind in kinds], calls, clean_nodes)


def _clean_nodes(calls: list[Call], trace: Trace, graph: FlowGraph) -> set[Node]:
    """Nodes that are clean in the whole graph, or that become clean if a side input of the network is treated as given.

    In an encoder-decoder, every decoder block reads the encoder's output, so no decoder block dominates it. But that
    output has its own cut. With it treated as given, the decoder is a chain like any other.
    """
    clean = graph.clean()
    side = _side_inputs([call.node for call in calls if call.node in clean], graph, trace.entries)
    for taken in trace.entered:  # inputs that modules read from a side input count as given, too
        if taken.node.next_functions[0][0] in side:
            side.append(taken.node)
    return clean | flow_graph(trace.output, trace.entries, constant=side).clean() if side else clean


def _side_inputs(nodes: list[Node], graph: FlowGraph, entries: set[Node]) -> list[Node]:
    """The outermost of `nodes` that at least one input of the network bypasses on its way to the output."""
    roots = {node for node in entries if node in graph.below and not graph.below[node]}
    reached = {node: graph.subtree(node) for node in dict.fromkeys(nodes)}
    partial = [node for node, below in reached.items() if not roots <= below]
    return [node for node in partial if not any(node in reached[other] for other in partial if other is not node)]


def _repeated_kinds(clean: list[Call], weighty: list[Call]) -> set[Kind]:
    """Classes with two or more instances in one container, all of them clean.

    Prefers classes whose instances are clean everywhere. These are enough if their last cut comes after most clean
    modules. Otherwise a class may have unclean instances in other containers, for example where a network fuses several
    scales.
    """
    siblings: dict[tuple[str, Kind], int] = defaultdict(int)
    unclean: dict[tuple[str, Kind], int] = defaultdict(int)
    names = {call.name for call in clean}
    for call in weighty:
        group = call.name.rpartition(".")[0], call.kind
        (siblings if call.name in names else unclean)[group] += 1
    repeated = {kind for (container, kind), count in siblings.items() if count > 1 and not unclean[container, kind]}
    throughout = repeated - {kind for (_, kind), count in unclean.items() if count}
    balance = Counter(kind for (_, kind), count in siblings.items() for _ in range(count))
    balance.subtract(kind for (_, kind), count in unclean.items() for _ in range(count))
    mostly = {kind for kind in repeated if balance[kind] > 0}
    last = max((index for index, call in enumerate(clean) if call.kind in throughout), default=-1)
    return throughout if 2 * last >= len(clean) else mostly or repeated


def _finest(kinds: set[Kind], clean: list[Call]) -> set[Kind]:
    """`kinds` without the classes that contain other `kinds`, if most of their weights are inside those."""
    chosen = [call for call in clean if call.kind in kinds]
    outer = set()
    for kind in kinds:
        own = [call for call in chosen if call.kind is kind]
        inner = {id(p): p.numel() for call in own for other in _inside(call, chosen) for p in other.module.parameters()}
        total = {id(p): p.numel() for call in own for p in call.module.parameters()}
        if 2 * sum(inner.values()) >= sum(total.values()):
            outer.add(kind)
    kept = kinds - outer
    held = {id(other) for call in chosen if call.kind in kept for other in _inside(call, chosen)}
    return {kind for kind in kept if any(id(call) not in held for call in chosen if call.kind is kind)}


def _inside(call: Call, others: Iterable[Call]) -> list[Call]:
    return [other for other in others if other.name.startswith(call.name + ".")]


def _extended(chosen: list[Call], calls: list[Call], clean: set[Node]) -> list[Call]:
    """`chosen`, where each bare layer is extended up to its norm, activation and pooling.

    The cut belongs after the nonlinearity, so that its derivative is part of the block (Nøkland 2016, eq. 2).
    """
    held = {id(call) for outer in chosen for call in _inside(outer, calls)}
    position = {id(call): index for index, call in enumerate(calls)}
    starts = [position[id(call)] for call in chosen]
    extended = []
    for call, start, end in zip(chosen, starts, [*starts[1:], len(calls)], strict=False):
        follow = [c for c in calls[start + 1 : end] if c.node in clean and _is_leaf(c.module) and id(c) not in held]
        extended.append(follow[-1] if follow and _is_leaf(call.module) else call)
    return extended


def _with_layers(blocks: list[Call], calls: list[Call]) -> list[Call]:
    attention = [call.name for call in calls if "attention" in call.kind.__name__.lower()]
    within = tuple(block.name + "." for block in blocks)
    named = {block.name for block in blocks}
    layers = []
    for call in calls:
        exact = any(call.name.startswith(name + ".") for name in attention)
        layer = _is_leaf(call.module) and module_has_weights(call.module)
        inside = call.name.startswith(within) and call.index == 0 and call.name not in named
        if inside and not exact and (layer or call.name in attention):
            layers.append(call)
    position = {call.name: index for index, call in enumerate(calls)}
    chosen = sorted([*layers, *blocks], key=lambda call: (position[call.name], call.index))
    return list({call.node: call for call in chosen}.values())  # prefer a block to the layer that it ends with


def _is_leaf(module: nn.Module) -> bool:
    return all(name == "parametrizations" for name, _ in module.named_children())
