"""Where a block's activation is cut: after its nonlinearity, below the last weights, and at every call of a module."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from grape_bench.network.block import Block, Site
from grape_bench.network.graph import FlowGraph, Node, parameters_reached, reach
from grape_bench.network.trace import Call, Trace, module_has_weights

Cuts = Literal["depth", "time", "both"]

_NONLINEAR = (
    *("Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Gelu", "Silu", "Mish", "Softplus", "Softsign", "Sigmoid", "Tanh"),
    *("Hardtanh", "Hardswish", "Hardsigmoid", "LogSigmoid", "Threshold", "Clamp", "PreluKernel", "Rrelu"),
)


@dataclass(frozen=True)
class Cut:
    """A block before it has a shape: the call that computes it, and the calls at which its activation is cut.

    `turn` is set if one call of a module is a block of its own.
    """

    made: Call
    at: Sequence[Call]
    turn: int | None = None

    def block(self, trace: Trace) -> Block:
        """The block that a rule sees."""
        first = self.at[0]
        axis = trace.samples.axis(first.shape) or 0
        shape = (*first.shape[:axis], *first.shape[axis + 1 :])
        shape = shape if axis else first.shape[1:]
        turns = {call.turn for call in self.at}
        every = len(turns) == max(trace.turns[call.name] for call in self.at)
        sites = {(call.module, call.index, call.entering, None if every else call.turn) for call in self.at}
        name = self.made.label
        if self.turn is not None:
            name = f"{self.made.name}[{self.turn}]" + (f"[{self.made.index}]" if self.made.index else "")
        made = list(dict.fromkeys(one.node.next_functions[0][0] if one.entering else one.node for one in self.at))
        calls = len(made)
        timed = calls > 1 and trace.view.shape[:-1][:1] == (calls,) and in_step(made, trace.output)
        readers = ", ".join(dict.fromkeys(call.name for call in self.at if call.entering))
        where = f"at the input of {readers}" if readers else f"after {first.name}"
        return Block(
            name,
            self.made.module,
            shape,
            self.made.index,
            tuple(Site(*site) for site in sorted(sites, key=lambda site: (str(site[1:3]), site[3] or 0))),
            where,
            axis,
            calls,
            timed,
            self.turn,
        )


def in_step(made: Sequence[Node], output: Node) -> bool:
    """Whether step t of the `output` is computed from the activations `made` in calls 0 to t, and from no later call.

    A node above the activations must bring the steps together in their order, as torch.stack does.
    """
    # Example: torch.stack([y_0, y_1, y_2], 1) has three next nodes. That of y_1 reaches calls 0 and 1, not call 2.
    #   In a loop that runs backward in time, y_0 comes from the last call, so the node of y_0 reaches call 2.
    for node in reach([output], stop=made):
        steps = [below for below, _ in node.next_functions]
        if len(steps) == len(made) and None not in steps:
            seen = [reach([step]) for step in steps]
            ends = zip(made, seen, strict=True)
            later = zip(made[1:], seen[:-1], strict=True)
            if all(one in below for one, below in ends) and not any(one in below for one, below in later):
                return True
    return False


def headed(chosen: list[Call], trace: Trace, graph: FlowGraph, weights: set[int]) -> list[Call]:
    """`chosen` without the last cuts above which there are no `weights` (ids): they would replace the head's gradient.

    Example: Linear -> ReLU -> Linear -> LogSoftmax. A cut after the second Linear goes, the one after the ReLU stays.
    """
    while chosen:
        stop = {call.node for call in chosen}
        if parameters_reached([trace.output], stop) & weights:
            break
        around = reach([trace.output], graph.below, stop)
        met = {below for node in around for below in graph.below.get(node, ()) if below in stop}
        chosen = [call for call in chosen if call.node not in met]
    return chosen


def after_nonlinearity(call: Call, trace: Trace, graph: FlowGraph, weights: set[int]) -> list[Call]:
    """Where the activation of `call` is cut: at the inputs of the next modules with weights, or at its own output.

    The nonlinearity belongs to the block (Nøkland 2016, eq. 2), whether it is a module or a function. The inputs are
    the right place if all of the next modules read one activation, which depends on the input only through `call`. A
    module with inner structure moves only past a nonlinearity, a bare layer also past pooling, dropout and reshaping.
    """
    # Example: y = self.b(F.dropout(F.relu(self.a(x)))). `a` is cut at the input of `b`, so f' is part of block a.
    readers = {made.node: made for made in trace.entered if made.node in graph.below}
    above: dict[Node, list[Node]] = defaultdict(list)
    for node, nexts in graph.below.items():
        for below in nexts:
            above[below].append(node)
    met = _first_met(call.node, above, readers)
    parents = {node.next_functions[0][0] for node in met}
    if len(parents) != 1 or parents == {call.node}:
        return [call]
    (read,) = parents
    between = reach([read], graph.below, {call.node})
    through = all(graph.below[node] for node in between)
    weighted = parameters_reached([read], {call.node}) & weights
    placed = [readers[node] for node in met]
    bare = not any(True for _ in call.module.children())
    nonlinear = any(str(node.name()).startswith(_NONLINEAR) for node in between)
    shaped = all(trace.samples.axis(made.shape) is not None for made in placed)
    return placed if through and not weighted and shaped and (bare or nonlinear) else [call]


def _first_met(start: Node, above: dict[Node, list[Node]], readers: Iterable[Node]) -> list[Node]:
    """The `readers` that a walk up from `start` meets first, or an empty list if it can also reach the output."""
    wanted, met = set(readers), []
    stack, seen = [start], {start}
    while stack:
        node = stack.pop()
        if not above.get(node):
            return []
        for upper in above[node]:
            if upper in seen:
                continue
            seen.add(upper)
            if upper in wanted:
                met.append(upper)
            else:
                stack.append(upper)
    return met


def layer_cuts(trace: Trace, graph: FlowGraph, weights: set[int], cuts: Cuts) -> list[Cut]:
    """The cuts at what the modules with weights take in, for modules that stand alone or are called several times.

    An input that depends on an earlier call of the same module comes through time. All others come through depth.
    """
    # Example: for x_t in x: h = cell_1(x_t, h); g = cell_2(h, g); return head(g).
    #   depth: block cell_1, cut at the first argument of cell_2 (T calls), and block cell_2, cut at the input of head.
    #   time:  blocks cell_1[0], cell_1[1], .. and cell_2[0], .., each cut at the state that its next call takes in,
    #          and cell_2 at the input of head too. both: h of cell_1[0] is also cut where cell_2 reads it.
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
    recurrent = {taken.name for taken in through_time}
    if cuts == "depth":
        found = [Cut(_producer(calls, producers, graph), calls) for calls in _by_readers(through_depth)]
    else:
        kept = [taken for taken in through_depth if cuts == "both" or taken.name not in recurrent]
        found = _by_call([*through_time, *kept], producers, graph)
    found = _outermost(found)
    tables = [Cut(made, [made]) for made in trace.calls if isinstance(made.module, nn.Embedding)]
    inner = reach([call.node for cut in found for call in cut.at], graph.below)
    tables = [cut for cut in tables if cut.made.node in inner]
    clean = _leak_free(found, graph, trace)
    if tables and not _leaks(with_tables := [*tables, *found], graph, trace) and len(clean) < len(found):
        clean = with_tables  # a second branch reads the embeddings (factorization machines)
    inside = parameters_reached([call.node for cut in clean for call in cut.at]) & weights
    layers = [module for module in trace.modules if inside & {id(p) for p in module.parameters(recurse=False)}]
    calls: dict[tuple[str, int | None], list[Node]] = defaultdict(list)
    for cut in clean:  # what one call returns comes from one graph (h and c of an LSTM)
        calls[cut.made.name, cut.turn] += [call.node for call in cut.at]
    if cuts != "time" and not graph.apart(list(calls.values()), trace.tops):
        return []
    lumped = len(clean) == 1 and len([one for one in layers if module_has_weights(one)]) > 1
    if lumped or not headed([call for cut in clean for call in cut.at], trace, graph, weights):
        return []
    return _ordered(clean, graph)


def _by_readers(edges: list[Call]) -> list[list[Call]]:
    """The inputs of each module at all of its calls, together with those of modules that read the same activations."""
    by_module: dict[str, list[Call]] = defaultdict(list)
    for taken in edges:
        by_module[taken.name].append(taken)
    shared: dict[frozenset[Node], list[Call]] = defaultdict(list)
    for calls in by_module.values():
        shared[frozenset(one.node.next_functions[0][0] for one in calls)] += calls
    return list(shared.values())


def _by_call(edges: list[Call], producers: dict[Node, Call], graph: FlowGraph) -> list[Cut]:
    """A cut for each activation, with all modules that read it: one call of the module that computes it."""
    shared: dict[Node, list[Call]] = defaultdict(list)
    for taken in edges:
        shared[taken.node.next_functions[0][0]].append(taken)
    made = [(_producer(calls, producers, graph), calls) for calls in shared.values()]
    return [Cut(one, calls, one.turn) for one, calls in made]


def _producer(taken: list[Call], producers: dict[Node, Call], graph: FlowGraph) -> Call:
    """The module with weights that computes what is `taken`: the last that was called below it."""
    for node in graph.order:
        if node in producers and node in graph.subtree(taken[-1].node):
            return producers[node]
    return taken[-1]


def _outermost(found: list[Cut]) -> list[Cut]:
    """`found` without cuts inside of modules whose own input is cut at the same activation."""
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
    """From the input to the output, with one cut per name: the last."""
    rank = {node: index for index, node in enumerate(graph.order)}
    ordered = sorted(found, key=lambda cut: -min(rank[call.node] for call in cut.at))
    last = {(cut.made.label, cut.turn): cut for cut in ordered}
    return [cut for cut in ordered if last[cut.made.label, cut.turn] is cut]
