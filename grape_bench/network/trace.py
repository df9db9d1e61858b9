"""One recorded forward: which module computed which activation, and the autograd graph between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from grape_bench.errors import UserError
from grape_bench.network.axes import OutputView, Samples, output_view
from grape_bench.network.block import Block
from grape_bench.network.channels import Channels
from grape_bench.network.graph import FlowGraph, Node, flow_graph
from grape_bench.network.preserve import fits, preserved
from grape_bench.network.recorder import Call, Recorder, module_has_weights
from grape_bench.network.taint import InputTaint, Weights
from grape_bench.network.trees import activations, first_activation, map_tensors, tensors

Batch = tuple[tuple[Any, ...], dict[str, Any]]
"""The positional and keyword arguments of one forward."""


_LOGARITHMS = {"LogSoftmaxBackward0", "LogSigmoidBackward0"}
_SQUASHING = {*_LOGARITHMS, "SoftmaxBackward0", "SigmoidBackward0"}


@dataclass(frozen=True)
class Trace:
    """One recorded forward: the module calls, the output's node, and the nodes at which the input enters (`entries`).

    `example` is the batch, as tensors without data (meta).
    `made` holds the outputs of every module call, in the order in which the calls ended, and `entered` the inputs of
    modules with weights. `turns` is the number of calls per module name. `head` is the module at whose output the error
    is read: the last one with weights if only functions follow it (a log-softmax), or "" for the network itself.
    `weights` are the weights of the linear maps. `sequences` is true if the input holds token ids or a mask. The number
    of tokens may then change between batches.
    `tops` are the nodes of the scored outputs. `outputs` are the shapes where the error is read, and `reads` the nodes
    there. `convolved` means that the last linear map was a convolution. `channels` knows the channel axis of each
    activation. `scored` are the positions of the scored outputs in the result of `scored_outputs`. Constants are left
    out.
    """

    example: Batch
    made: list[Call]
    entered: list[Call]
    turns: Counter[str]
    output: Node
    tops: list[Node]
    outputs: list[tuple[int, ...]]
    reads: list[Node]
    entries: set[Node]
    head: str
    weights: Weights
    samples: Samples
    sequences: bool
    convolved: bool
    channels: Channels
    scored: tuple[int, ...] = (0,)
    choose: Choice = None
    axis: int | None = None

    @cached_property
    def graph(self) -> FlowGraph:
        """The part of the autograd graph that depends on the input."""
        return flow_graph(self.output, self.entries)

    @cached_property
    def view(self) -> OutputView:
        """How rules see the outputs. Raises UserError if the axis of the outputs or of the samples is unclear."""
        steps = max(self.turns.values(), default=1)
        read = zip(self.reads, self.outputs, strict=True)
        unclear = self.convolved or any(
            self.channels.axis(node, len(shape)) not in (None, len(shape) - 1) for node, shape in read
        )
        return output_view(self.outputs, self.samples, self.axis, steps, unclear)

    def refuse_logarithm(self) -> None:
        """Raise UserError if the error is read above a log-softmax, where it is the same for all predictions."""
        if any(type(one).__name__ in _LOGARITHMS for node in self.reads for one in self.graph.tail(node)):
            raise UserError(
                "the output is the log of a softmax or sigmoid, and no layer returns the scores below it in that "
                "shape, so the error cannot be read there",
                hint="return the scores, and compute the log-softmax in the loss (F.cross_entropy)",
            )

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
        """The second and later activations of modules that were called once."""
        return [call for call in self.made if call.index and self.turns[call.name] == 1]


def trace(model: nn.Module, batch: Batch, choose: Choice = None, axis: int | None = None) -> Trace:
    """Record one forward of `model` on `batch`. Raises UserError if the output has no float tensor.

    `choose` is the index or key of the scored output, and `axis` is the axis of its classes.
    """
    args, kwargs = batch
    recorder = Recorder(model)
    taint = InputTaint(tensors([args, kwargs]), model.parameters(), recorder.sites)
    with (
        recorder,
        fits(model),
        preserved(model),
        torch.enable_grad(),
        _all_trainable(model),
        taint.graph_alone(),
        torch.compiler.set_stance("force_eager"),
        taint,
    ):
        output = model(*args, **kwargs)
        positions, scored = _differentiable(model, output, choose)
        top = scored[0] if len(scored) == 1 else torch.cat([one.flatten() for one in scored])
    head, reads, outputs = _where_the_error_is_read(recorder, model, scored, taint)
    first = next((tensor for tensor in tensors([args, kwargs]) if tensor.dim()), None)
    samples = Samples(1) if first is None else recorder.samples(first, outputs[0])
    return Trace(
        map_tensors(lambda tensor: torch.empty_like(tensor, device="meta", requires_grad=False), batch),
        recorder.made,
        recorder.entered,
        recorder.turns,
        top.grad_fn,
        [one.grad_fn for one in scored],
        outputs,
        reads,
        taint.entries,
        head,
        taint.weights(),
        samples,
        any(tensor.dim() == 2 and not tensor.is_floating_point() for tensor in tensors([args, kwargs])),
        taint.convolved,
        taint.channels,
        positions,
        choose,
        axis,
    )


def _differentiable(model: nn.Module, output: Any, choose: Choice) -> tuple[tuple[int, ...], list[Tensor]]:
    """The scored outputs that have a gradient, and their positions. Raises UserError if there are none."""
    found = scored_outputs(output, choose)
    positions = tuple(index for index, one in enumerate(found) if one.grad_fn is not None and one.dim())
    if not positions:
        raise UserError(
            f"the output of {type(model).__name__} ({type(output).__name__}) has no tensor to score",
            allowed="a floating-point tensor, a tuple that starts with one, or a ModelOutput with .logits",
        )
    return positions, [found[index] for index in positions]


def _where_the_error_is_read(
    recorder: Recorder, model: nn.Module, scored: list[Tensor], taint: InputTaint
) -> tuple[str, list[Node], list[tuple[int, ...]]]:
    """The module at whose output the error is read ("" for the network itself), and the nodes and shapes there."""
    head, nodes, shapes = recorder.head(scored), [one.grad_fn for one in scored], [tuple(one.shape) for one in scored]
    graph = flow_graph(nodes[0], taint.entries)
    squashed = any(type(one).__name__ in _SQUASHING for one in graph.tail(nodes[0]))
    if len(scored) == 1 and (squashed or not (head and module_has_weights(model.get_submodule(head)))):
        last = recorder.last_layer(graph, shapes[0])
        # With as many positions as classes, a transpose keeps the shape. The classes are then on another axis there.
        if last is not None:
            axes = {taint.channels.axis(node, len(last.shape)) for node in (nodes[0], last.node)}
            if last.shape != shapes[0] or len(axes - {None}) < 2:
                return last.name, [last.node], [last.shape]
    return head, nodes, shapes


def as_batch(example: Any) -> Batch:
    """Convert an example to positional and keyword arguments: a dict is keywords, a tuple or list is positional."""
    if isinstance(example, Mapping):
        return (), dict(example)
    return (tuple(example), {}) if isinstance(example, (tuple, list)) else ((example,), {})


Choice = int | str | None
"""Which of a model's outputs is scored: an index, a key or attribute, or None for the logits or all outputs."""


def scored_outputs(output: Any, choose: Choice = None) -> list[Tensor]:
    """The outputs that a loss may read: `.logits` if it exists, else every distinct floating-point tensor.

    Raises UserError if `choose` does not match an output.
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
