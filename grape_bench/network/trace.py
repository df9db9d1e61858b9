"""One recorded forward: which module made which activation, and the autograd graph between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from grape_bench.errors import UserError
from grape_bench.network.operators import LinearMap, OperatorMode
from grape_bench.network.preserve import preserved
from grape_bench.network.recompute import refuse_reentrant
from grape_bench.network.trees import first_activation, tensors

Batch = tuple[tuple[Any, ...], dict[str, Any]]
"""The positional and keyword arguments of one forward."""

Node = Any  # torch.autograd.graph.Node; its subclasses are made at run time


@dataclass(frozen=True)
class Call:
    """A module that was called once in the forward: its output tensor's node and shape, batch included."""

    name: str
    module: nn.Module
    node: Node
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Trace:
    """The calls in the order in which they ended, the output's node, and the nodes at which the input enters.

    `head` is the module whose output is the network's output itself, "" when that is the network alone;
    `weights` are the parameters that linear maps were made with; `sequences` says that the input is token ids (or
    has a mask of tokens), whose number may differ from batch to batch.
    """

    calls: list[Call]
    output: Node
    output_shape: tuple[int, ...]
    entries: set[Node]
    head: str
    weights: list[Tensor]
    sequences: bool


def trace(model: nn.Module, batch: Batch) -> Trace:
    """Run `model` once on `batch`, aside, and record it; raises UserError for an output without a float tensor."""
    args, kwargs = batch
    names = {module: name for name, module in model.named_modules()}
    outputs: list[tuple[str, ref[Tensor]]] = []
    seen: Counter[str] = Counter()

    def note(module: nn.Module, _: Any, output: Any) -> None:
        seen[names[module]] += 1
        activation = first_activation(output)
        if activation is not None and activation.grad_fn is None:
            refuse_reentrant(f"module {names[module]!r}")
        if activation is not None and activation.grad_fn is not None:
            outputs.append((names[module], ref(activation)))
            calls.append(Call(names[module], module, activation.grad_fn, tuple(activation.shape)))

    calls: list[Call] = []
    handles = [module.register_forward_hook(note) for module in names]
    taint = InputTaint([*tensors(args), *tensors(kwargs)])
    try:
        eager = torch.compiler.set_stance("force_eager")
        with preserved(model), torch.enable_grad(), _all_trainable(model), _graph_alone(), eager, taint:
            output = model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
    logits = scored_output(output)
    if logits is None or logits.grad_fn is None:
        raise UserError(
            f"the output of {type(model).__name__} ({type(output).__name__}) has no tensor to score",
            allowed="a floating-point tensor, a tuple that starts with one, or a ModelOutput with .logits",
        )
    heads = [name for name, activation in outputs if activation() is logits and seen[name] == 1]
    once = [call for call in calls if seen[call.name] == 1]
    head = heads[0] if heads else ""
    weights = list(taint.weights.values())
    sequences = any(tensor.dim() == 2 and not tensor.is_floating_point() for tensor in tensors([args, kwargs]))
    return Trace(once, logits.grad_fn, tuple(logits.shape), taint.entries, head, weights, sequences)


def scored_output(output: Any) -> Tensor | None:
    """The logits in what a model returns: its `.logits` where it has them, else the first float tensor."""
    logits = output.get("logits") if isinstance(output, dict) else getattr(output, "logits", None)
    return logits if isinstance(logits, Tensor) else first_activation(output)


class InputTaint(OperatorMode):
    """Follows the input through the forward; `entries` are the nodes made by operations that touched it.

    Token ids carry no gradient, so the autograd graph alone cannot tell an embedded input from an embedded
    position; a walk from any node that depends on the input ends at one of `entries`.
    """

    def __init__(self, inputs: list[Tensor]) -> None:
        super().__init__()
        # Weak, so that activations are freed as in any forward; dead ones are told by their reference.
        self._tainted: dict[int, ref[Tensor]] = {id(tensor): ref(tensor) for tensor in inputs}
        self.entries: set[Node] = set()
        self.weights: dict[int, Tensor] = {}

    def linear_map(self, call: LinearMap) -> Tensor:
        """Notes the weight, or the parameter that it is a view of."""
        weight = call.weight if call.weight._base is None else call.weight._base
        self.weights[id(weight)] = weight
        return call.apply(call.input, call.weight, call.bias)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_function__(func, types, args, kwargs)
        if any(self._is_tainted(tensor) for tensor in tensors([args, kwargs])):
            written = args[:1] if func is Tensor.__setitem__ else ()
            for tensor in tensors([result, written]):
                self._tainted[id(tensor)] = ref(tensor)
                if tensor.grad_fn is not None:
                    self.entries.add(tensor.grad_fn)
        return result

    def _is_tainted(self, tensor: Tensor) -> bool:
        held = self._tainted.get(id(tensor))
        return held is not None and held() is tensor


def _graph_alone() -> saved_tensors_hooks:
    """Autograd keeps its nodes but no activations: this graph is read, never run."""
    return saved_tensors_hooks(lambda saved: None, lambda saved: saved)


@contextmanager
def _all_trainable(model: nn.Module) -> Iterator[None]:
    """Let frozen parameters take part, so that the graph is the same whatever is frozen."""
    frozen = [p for p in model.parameters() if not p.requires_grad and p.is_floating_point()]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
