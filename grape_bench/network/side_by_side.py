"""Modules that run several times side by side in one forward, such as the encoder of a siamese network."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from grape_bench.network.graph import FlowGraph, flow_graph
from grape_bench.network.recorder import module_has_weights
from grape_bench.network.sites import Cut
from grape_bench.network.trace import Trace


class SideBySide:
    """The outermost modules whose layers are called several times, while no call depends on another call.

    With all calls but the first treated as given, each module is like any other part of a network. So the search for
    blocks runs on `first`, the trace of one call each. The cuts are then made at every call.
    """

    # Example: head(|encoder(a) - encoder(b)|), where the encoder has blocks layers.0, layers.1 and layers.2.
    #   first: encoder(b) counts as given, so layers.0 to layers.2 form a chain from a to the output
    #   at_all_calls: the cut after layers.1 in call 0 -> the cuts after layers.1 in call 0 and in call 1, one block

    def __init__(self, trace: Trace, graph: FlowGraph) -> None:
        self.trace = trace
        called = {call.name: call.module for call in trace.made if call.name and trace.turns[call.name] > 1}
        weighty = [name for name, module in called.items() if module_has_weights(module)]
        outer = [name for name in weighty if not any(name.startswith(f"{other}.") for other in weighty)]
        parents = [name for name in outer if any(True for _ in called[name].children())]
        self.names = [name for name in parents if _apart(name, trace, graph)]

    def first(self) -> tuple[Trace, FlowGraph]:
        """The trace of each module's first call, and the graph in which the outputs of its other calls are given."""
        trace = self.trace
        turns = Counter({name: count // self._times(name) for name, count in trace.turns.items()})
        made, entered = (
            [call for call in calls if call.turn < turns[call.name]] for calls in (trace.made, trace.entered)
        )
        given = [call.node for call in trace.made if call.name in self.names and call.turn > 0]
        alone = replace(trace, made=made, entered=entered, turns=turns)
        return alone, flow_graph(trace.output, trace.entries, constant=given)

    def at_all_calls(self, cut: Cut) -> Cut:
        """The same cut at every call."""
        every = []
        for call in cut.at:
            calls = self.trace.entered if call.entering else self.trace.made
            step = self.trace.turns[call.name] // self._times(call.name)
            place = call.name, call.index
            every += [one for one in calls if (one.name, one.index) == place and one.turn % step == call.turn]
        return Cut(cut.made, every)

    def _times(self, name: str) -> int:
        """The number of calls of the module that contains `name`, or 1 for modules outside."""
        held = [outer for outer in self.names if name == outer or name.startswith(f"{outer}.")]
        return self.trace.turns[held[0]] if held else 1


def _apart(name: str, trace: Trace, graph: FlowGraph) -> bool:
    """Whether no call of the module depends on another call."""
    calls = [call for call in trace.made if call.name == name and call.node in graph.below]
    below = {call.node: graph.subtree(call.node) for call in calls}
    return not any(other.node in below[call.node] for call in calls for other in calls if other.turn != call.turn)
