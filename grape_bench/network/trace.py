"""One recorded forward: which module made which activation, and the autograd graph between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast
from weakref import ref

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from grape_bench.errors import UserError
from grape_bench.network.axes import OutputView, Samples, output_view
from grape_bench.network.block import Block
from grape_bench.network.graph import FlowGraph, Node, flow_graph, parameters_reached, reach
from grape_bench.network.operators import CallSites
from grape_bench.network.preserve import fits, preserved
from grape_bench.network.recompute import refuse_reentrant
from grape_bench.network.taint import InputTaint, Weights
from grape_bench.network.trees import activations, first_activation, map_tensors, tensors

Batch = tuple[tuple[Any, ...], dict[str, Any]]
"""The positional and keyword arguments of one forward."""


@dataclass(frozen=True)
class Call:
    """One activation of a module call: its output number `index`, with its node and shape.

    `turn` counts the calls of the module before this one in the same forward. With `entering`, the activation is what
    the module takes in, number `index` of its floating-point arguments.
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
        """The module's class, without what `parametrize` makes of it for each instance."""
        return parametrize.type_before_parametrizations(self.module)

    @property
    def label(self) -> str:
        """The name, with `[index]` for further activations."""
        return f"{self.name}[{self.index}]" if self.index else self.name


@dataclass(frozen=True)
class Trace:
    """One recorded forward: the module calls, the output's node, and the nodes at which the input enters (`entries`).

    `made` holds what every module call returned, in the order in which the calls ended, and `entered` what the
    modules with weights took in. `turns` is the number of calls per module name. `head` is the module at whose
    output the error is read: the last with weights if only functions follow it (a log-softmax), or "" for the
    network itself. `weights` are the weights of the linear maps. `sequences` is true if the input holds token ids
    or a mask. The number of tokens may then change between batches. `outputs` are the shapes of the outputs that
    are scored, `tops` their nodes, and `convolved` says that the last linear map was a convolution. `scored` are their
    positions in what `scored_outputs` finds. Constants are left out.
    """

    made: list[Call]
    entered: list[Call]
    turns: Counter[str]
    output: Node
    tops: list[Node]
    outputs: list[tuple[int, ...]]
    entries: set[Node]
    head: str
    weights: Weights
    samples: Samples
    sequences: bool
    convolved: bool
    scored: tuple[int, ...] = (0,)
    choose: Choice = None
    axis: int | None = None

    @cached_property
    def view(self) -> OutputView:
        """How rules see the outputs. Raises UserError if the axis of the outputs or of the samples is unclear."""
        steps = max(self.turns.values(), default=1)
        return output_view(self.outputs, self.samples, self.axis, steps, self.convolved)

    def nodes(self, block: Block) -> list[Node]:
        """The nodes at which `block` is cut."""
        wanted = {(site.module, site.index, site.entering, site.turn) for site in block.sites}
        found = []
        for call in (*self.made, *self.entered):
            at = call.module, call.index, call.entering
            if (*at, None) in wanted or (*at, call.turn) in wanted:
                found.append(call.node)
        return found

    @property
    def calls(self) -> list[Call]:
        """The first activation of each module that was called once."""
        return [call for call in self.made if call.index == 0 and self.turns[call.name] == 1]

    @property
    def modules(self) -> dict[nn.Module, None]:
        """The modules that were called."""
        return dict.fromkeys(call.module for call in self.made)

    @property
    def further(self) -> list[Call]:
        """The further activations of modules that were called once."""
        return [call for call in self.made if call.index and self.turns[call.name] == 1]


def trace(model: nn.Module, batch: Batch, choose: Choice = None, axis: int | None = None) -> Trace:
    """Record one forward of `model` on `batch`. Raises UserError if the output has no float tensor.

    `choose` is the index or key of the output that is scored, `axis` the axis of its classes.
    """
    args, kwargs = batch
    recorder = Recorder(model)
    sites = recorder.sites
    taint = InputTaint(tensors([args, kwargs]), model.parameters(), sites)
    eager = torch.compiler.set_stance("force_eager")
    with (
        recorder,
        fits(model),
        preserved(model),
        torch.enable_grad(),
        _all_trainable(model),
        taint.graph_alone(),
        eager,
        taint,
    ):
        output = model(*args, **kwargs)
        found = scored_outputs(output, choose)
        positions = tuple(index for index, one in enumerate(found) if one.grad_fn is not None and one.dim())
        scored = [found[index] for index in positions]
        joined = torch.cat([one.flatten() for one in scored]) if len(scored) > 1 else None
    if not scored:
        raise UserError(
            f"the output of {type(model).__name__} ({type(output).__name__}) has no tensor to score",
            allowed="a floating-point tensor, a tuple that starts with one, or a ModelOutput with .logits",
        )
    tops = [one.grad_fn for one in scored]
    top = tops[0] if joined is None else joined.grad_fn
    outputs = [tuple(one.shape) for one in scored]
    head = recorder.head(scored)
    if len(scored) == 1 and not (head and module_has_weights(model.get_submodule(head))):
        last = recorder.last_layer(flow_graph(top, taint.entries), outputs[0])
        head, outputs = (last.name, [last.shape]) if last else (head, outputs)
    first = next((tensor for tensor in tensors([args, kwargs]) if tensor.dim()), None)
    samples = Samples(1) if first is None else recorder.samples(first, outputs[0])
    return Trace(
        recorder.made,
        recorder.entered,
        recorder.turns,
        top,
        tops,
        outputs,
        taint.entries,
        head,
        taint.weights(),
        samples,
        any(tensor.dim() == 2 and not tensor.is_floating_point() for tensor in tensors([args, kwargs])),
        taint.convolved,
        positions,
        choose,
        axis,
    )


class Recorder:
    """Notes what the modules of `model` take in and return, while active.

    What a module with weights takes in gets an autograd node of its own, so that a cut there is one edge of the graph.
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
        """The name of the module, called once, whose output is the network's only output; else ""."""
        if len(scored) > 1:
            return ""
        heads = [name for name, made in self._outputs if made() is scored[0] and self.turns[name] == 1]
        return heads[0] if heads else ""

    def last_layer(self, graph: FlowGraph, shape: tuple[int, ...]) -> Call | None:
        """The module with weights whose output becomes the network's, of `shape`, by functions without weights.

        The error is read there. After a log-softmax, it would be the same however good the prediction is.
        """
        weights = {id(p) for module in self._names for p in module.parameters(recurse=False) if p.dim() > 1}
        ends: dict[Node, Call] = {}
        for call in self.made:
            once = call.name and call.index == 0 and self.turns[call.name] == 1 and module_has_weights(call.module)
            if once and call.shape in (shape, (*shape, 1)):
                ends.setdefault(call.node, call)
        for node in graph.order:
            if node in ends:
                top = graph.order[:1]
                through = all(graph.below[one] for one in reach(top, graph.below, {node}) - {node})
                plain = not parameters_reached(top, {node}) & weights
                return ends[node] if through and plain and node is not top[0] else None
        return None

    def samples(self, first: Tensor, output: tuple[int, ...]) -> Samples:
        """The samples of the network, whose first input tensor is `first`."""
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
    """Whether a module transforms its input by weights: neither a norm's gains nor a table of embeddings."""
    return not isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and any(p.dim() > 1 for p in module.parameters())


def as_batch(example: Any) -> Batch:
    """A batch as positional and keyword arguments: a dict is keywords, a tuple or list positions."""
    if isinstance(example, Mapping):
        return (), dict(example)
    return (tuple(example), {}) if isinstance(example, (tuple, list)) else ((example,), {})


Choice = int | str | None
"""Which of a model's outputs is scored: an index, a key or attribute, or None for the logits or all outputs."""


def scored_outputs(output: Any, choose: Choice = None) -> list[Tensor]:
    """The outputs that a loss may read: `.logits` if there are any, else every floating-point tensor, each once.

    Raises UserError if `choose` names none.
    """
    if choose is not None:
        return [_chosen(output, choose)]
    logits = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(logits, Tensor):
        return [logits]
    return list({id(made): made for made in activations(output)}.values())


def scored_output(output: Any) -> Tensor | None:
    """The first of `scored_outputs`, or None."""
    return next(iter(scored_outputs(output)), None)


def _chosen(output: Any, choose: int | str) -> Tensor:
    try:
        found = list(activations(output))[choose] if isinstance(choose, int) else None
        found = found if isinstance(choose, int) else first_activation(_part(output, choose))
    except (AttributeError, IndexError, KeyError):
        found = None
    if found is None:
        keys = ", ".join(map(str, output)) if isinstance(output, Mapping) else ""
        raise UserError(
            f"the model has no output {choose!r}",
            allowed=keys or f"an index below {len(list(activations(output)))}",
        )
    return found


def _part(output: Any, key: str) -> Any:
    return output[key] if isinstance(output, Mapping) else getattr(output, key)


def logits_of(output: object, classes: int) -> Tensor:
    """Return the (N, classes) logits in a model's output. Raises UserError if there are none."""
    logits = scored_output(output)
    if logits is None or logits.dim() != 2 or logits.shape[1] != classes:
        found = "no tensor" if logits is None else f"a tensor of shape {tuple(logits.shape)}"
        raise UserError(f"the model's output cannot be scored: {found}", allowed=f"logits of shape (N, {classes})")
    return logits


@contextmanager
def _all_trainable(model: nn.Module) -> Iterator[None]:
    """Make frozen parameters require gradients, so that the graph is the same whether they are frozen or not."""
    frozen = [p for p in model.parameters() if not p.requires_grad and p.is_floating_point()]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
