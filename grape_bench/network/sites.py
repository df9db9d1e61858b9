"""Where a block's activation is cut: after its nonlinearity, below the last weights, and at every call of a module."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from grape_bench.network.block import Block, Site
from grape_bench.network.channels import guessed
from grape_bench.network.graph import FlowGraph, Node, parameters_reached, reach
from grape_bench.network.recorder import Call
from grape_bench.network.trace import Trace

Cuts = Literal["depth", "time", "both"]

_NONLINEAR = (
    *("Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Gelu", "Silu", "Mish", "Softplus", "Softsign", "Sigmoid", "Tanh"),
    *("Hardtanh", "Hardswish", "Hardsigmoid", "LogSigmoid", "Threshold", "Clamp", "PreluKernel", "Rrelu"),
)


@dataclass(frozen=True)
class Cut:
    """A block whose shape is not known yet: the call that computes it, and the calls at which its activation is cut.

    `turn` is set if one call of a module is its own block.
    """

    made: Call
    at: Sequence[Call]
    turn: int | None = None

    def block(self, trace: Trace) -> Block:
        """The block that a rule sees."""
        first = self.at[0]
        axis = trace.samples.axis(first.shape) or 0
        shape = (*first.shape[:axis], *first.shape[axis + 1 :])
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
            channel_axis=self._channel_axis(trace, axis, shape, timed=timed),
        )

    def _channel_axis(self, trace: Trace, samples: int, shape: tuple[int, ...], *, timed: bool) -> int:
        """The axis of `shape` that holds channels. `samples` is the sample axis of the activation."""
        if len(shape) < 2:
            return 0
        found = trace.channels.axis(self.at[0].node, len(shape) + 1)
        if found is None or found == samples:
            return guessed(shape, trace.view.shape[int(timed) : -1])
        return found - (found > samples)


def in_step(made: Sequence[Node], output: Node) -> bool:
    """Whether step t of the `output` depends on the activations `made` in calls 0 to t, and on no later call.

    A node above the activations must combine the steps in order, as torch.stack does.
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
    """`chosen` without last cuts that have no `weights` (ids) above them, since they would replace the head's gradient.

    Example: Linear -> ReLU -> Linear -> LogSoftmax. A cut after the second Linear is dropped. One after the ReLU stays.
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
    """Where to cut the activation of `call`: at the inputs of the next modules with weights, or at its own output.

    The nonlinearity belongs to the block (Nøkland 2016, eq. 2), whether it is a module or a function. The inputs are
    the right place if all of the next modules read one activation, which depends on the input only through `call`. For
    a module with submodules, the cut moves only past a nonlinearity. For a bare layer, it also moves past pooling,
    dropout and reshaping.
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
    """The first `readers` on each walk up from `start`, or an empty list if a walk can also reach the output."""
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
