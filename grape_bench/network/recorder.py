"""Record a forward: the inputs and outputs of each module, with their autograd nodes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import Any, cast
from weakref import ref

from torch import Tensor, nn
from torch.nn.utils import parametrize

from grape_bench.network.axes import Samples
from grape_bench.network.graph import FlowGraph, Node, parameters_reached, reach
from grape_bench.network.operators import CallSites
from grape_bench.network.recompute import refuse_reentrant
from grape_bench.network.trees import activations, map_tensors


@dataclass(frozen=True)
class Call:
    """One activation of a module call: its output number `index`, with its node and shape.

    `turn` counts the earlier calls of the module in the same forward. With `entering`, the activation is an input of
    the module, number `index` of its floating-point arguments.
    """

    name: str
    module: nn.Module
    node: Node
    shape: tuple[int, ...]
    index: int = 0
    turn: int = 0
    entering: bool = False

    @property
    def kind(self) -> type[nn.Module]:
        """The module's class. For a parametrized module, its class before `parametrize` made a new one per instance."""
        return parametrize.type_before_parametrizations(self.module)

    @property
    def label(self) -> str:
        """The name, with `[index]` for further activations."""
        return f"{self.name}[{self.index}]" if self.index else self.name


class Recorder:
    """While active, records the inputs and outputs of the modules of `model`.

    Each input of a module with weights gets its own autograd node, so that a cut there is one edge of the graph.
    """

    # Example: h = F.relu(self.a(x)); y = self.b(h) + self.c(h)
    #   made: a (N, 16) at AddmmBackward, b, c;  entered: b at AliasBackward of h, c at another AliasBackward of h

    def __init__(self, model: nn.Module) -> None:
        self.made: list[Call] = []
        self.entered: list[Call] = []
        self.turns: Counter[str] = Counter()
        self.sites = CallSites()
        self._names = {module: name for name, module in model.named_modules()}
        self._outputs: list[tuple[str, ref[Tensor]]] = []
        self._time_first: set[tuple[int, ...]] = set()
        self._handles: list[Any] = []

    def __enter__(self) -> None:
        for module in self._names:
            self._handles += self.sites.watch(module)
            self._handles.append(module.register_forward_hook(self._returned))
            if module_has_weights(module):
                self._handles.append(module.register_forward_pre_hook(self._takes, with_kwargs=True))

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def head(self, scored: list[Tensor]) -> str:
        """The name of the module whose output is the network's only output, if it is called once. Otherwise ""."""
        if len(scored) > 1:
            return ""
        heads = [name for name, made in self._outputs if made() is scored[0] and self.turns[name] == 1]
        return heads[0] if heads else ""

    def last_layer(self, graph: FlowGraph, shape: tuple[int, ...]) -> Call | None:
        """The module with weights whose output becomes the network's output, of `shape`, by functions without weights.

        The error is read there. After a log-softmax, the error would be the same for good and bad predictions.
        """
        weights = {id(p) for module in self._names for p in module.parameters(recurse=False) if p.dim() > 1}
        ends: dict[Node, Call] = {}
        for call in self.made:
            once = call.name and call.index == 0 and self.turns[call.name] == 1 and module_has_weights(call.module)
            # A tail may flatten positions into samples, as in `log_softmax(scores.view(-1, classes))`.
            same_scores = call.shape[-1:] == shape[-1:] and prod(call.shape) == prod(shape)
            if once and (same_scores or call.shape == (*shape, 1)):
                ends.setdefault(call.node, call)
        for node in graph.order[1:]:
            if node in ends:
                top = graph.order[:1]
                through = all(graph.below[one] for one in reach(top, graph.below, {node}) - {node})
                plain = not parameters_reached(top, {node}) & weights
                return ends[node] if through and plain else None
        return None

    def samples(self, first: Tensor, output: tuple[int, ...]) -> Samples:
        """How samples are arranged, given the network's `first` input tensor."""
        shape = tuple(first.shape)
        time_first = shape[:2] in self._time_first or (
            len(shape) > 2 and output[:1] == shape[1:2] and output[0] != shape[0] and shape[0] > 1
        )
        return Samples(shape[1], time_first=True) if time_first else Samples(shape[0])

    def _takes(self, module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
        name, aliases = self._names[module], dict[int, Tensor]()
        if getattr(module, "batch_first", True) is False:
            self._time_first |= {tuple(one.shape[:2]) for one in activations((args, kwargs)) if one.dim() == 3}
        for index, taken in enumerate(activations((args, kwargs))):
            if taken.grad_fn is None or id(taken) in aliases:
                continue
            aliases[id(taken)] = alias = taken.view_as(taken)
            node = cast("Node", alias.grad_fn)
            self.entered.append(Call(name, module, node, tuple(taken.shape), index, self.turns[name], entering=True))
        seen: tuple[Any, Any] = map_tensors(lambda tensor: aliases.get(id(tensor), tensor), (args, kwargs))
        return seen

    def _returned(self, module: nn.Module, _: Any, output: Any) -> None:
        name = self._names[module]
        turn = self.turns[name]
        self.turns[name] += 1
        for index, activation in enumerate(activations(output)):
            node = activation.grad_fn
            if node is not None:
                self.made.append(Call(name, module, node, tuple(activation.shape), index, turn))
            if index == 0 and node is not None:
                self._outputs.append((name, ref(activation)))
            elif index == 0:
                refuse_reentrant(f"module {name!r}")


def module_has_weights(module: nn.Module) -> bool:
    """Whether a module transforms its input with weights. A norm's gains and an embedding table do not count."""
    return not isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and any(p.dim() > 1 for p in module.parameters())
