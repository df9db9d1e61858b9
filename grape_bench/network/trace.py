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
from torch.nn.utils import parametrize

from grape_bench.errors import UserError
from grape_bench.network.graph import Node
from grape_bench.network.operators import CallSites
from grape_bench.network.preserve import preserved
from grape_bench.network.recompute import refuse_reentrant
from grape_bench.network.taint import InputTaint, Weights
from grape_bench.network.trees import activations, first_activation, tensors

Batch = tuple[tuple[Any, ...], dict[str, Any]]
"""The positional and keyword arguments of one forward."""


@dataclass(frozen=True)
class Call:
    """A module that was called once in the forward, with its activation's node and shape (N, ...).

    The activation is the module's floating-point output number `index`.
    """

    name: str
    module: nn.Module
    node: Node
    shape: tuple[int, ...]
    index: int = 0

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

    `calls` holds the first activation of each module, in the order in which the calls ended. `further` holds the other
    activations. `head` is the module whose output is the network's output, or "" if no inner module is. `weights` are
    the weights of the linear maps, `samples` is N. `sequences` is true if the input holds token ids or a mask. The
    number of tokens may then change between batches.
    """

    calls: list[Call]
    further: list[Call]
    output: Node
    output_shape: tuple[int, ...]
    entries: set[Node]
    head: str
    weights: Weights
    samples: int
    sequences: bool


def trace(model: nn.Module, batch: Batch) -> Trace:
    """Record one forward of `model` on `batch`. Raises UserError if the output has no float tensor."""
    args, kwargs = batch
    names = {module: name for name, module in model.named_modules()}
    outputs: list[tuple[str, ref[Tensor]]] = []
    seen: Counter[str] = Counter()

    def note(module: nn.Module, _: Any, output: Any) -> None:
        name = names[module]
        seen[name] += 1
        for index, activation in enumerate(activations(output)):
            node = activation.grad_fn
            if node is not None:
                made = Call(name, module, node, tuple(activation.shape), index)
                (further if index else calls).append(made)
            if index == 0 and node is not None:
                outputs.append((name, ref(activation)))
            elif index == 0:
                refuse_reentrant(f"module {name!r}")

    calls: list[Call] = []
    further: list[Call] = []
    sites = CallSites()
    handles = [handle for module in names for handle in sites.watch(module)]
    handles += [module.register_forward_hook(note) for module in names]
    taint = InputTaint(tensors([args, kwargs]), model.parameters(), sites)
    try:
        eager = torch.compiler.set_stance("force_eager")
        with preserved(model), torch.enable_grad(), _all_trainable(model), taint.graph_alone(), eager, taint:
            output = model(*args, **kwargs)
    except (AttributeError, IndexError, TypeError) as error:
        raise UserError(
            f"{type(model).__name__} cannot run on this example: {type(error).__name__}: {error}",
            allowed="a tensor, a tuple of positional arguments, or a dict of keyword arguments",
            hint="an example for which model(example), model(*example) or model(**example) works",
        ) from error
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
    once, further = ([call for call in made if seen[call.name] == 1] for made in (calls, further))
    head = heads[0] if heads else ""
    samples = next((tensor.shape[0] for tensor in tensors([args, kwargs]) if tensor.dim()), 1)
    sequences = any(tensor.dim() == 2 and not tensor.is_floating_point() for tensor in tensors([args, kwargs]))
    shape, entries, weights = tuple(logits.shape), taint.entries, taint.weights()
    return Trace(once, further, logits.grad_fn, shape, entries, head, weights, samples, sequences)


def as_batch(example: Any) -> Batch:
    """A batch as positional and keyword arguments: a dict is keywords, a tuple or list positions."""
    if isinstance(example, dict) or hasattr(example, "keys"):
        return (), dict(example)
    return (tuple(example), {}) if isinstance(example, (tuple, list)) else ((example,), {})


def scored_output(output: Any) -> Tensor | None:
    """Find the logits in a model's output: its `.logits` if it has them, else the first float tensor."""
    logits = output.get("logits") if isinstance(output, dict) else getattr(output, "logits", None)
    return logits if isinstance(logits, Tensor) else first_activation(output)


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
