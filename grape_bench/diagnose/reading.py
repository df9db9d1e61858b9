"""The result of one pass on a probe batch (activations, signals, gradients), and the interface of a metric."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from typing_extensions import override

from grape_bench.network.block import PREFIX, Block
from grape_bench.network.network import Network
from grape_bench.network.passes import Pass
from grape_bench.network.preserve import preserved
from grape_bench.network.rule import LearningRule
from grape_bench.network.trace import Batch
from grape_bench.network.trees import first_activation

Loss = Callable[[Any], Tensor]
"""Maps the model's output to the loss."""

Flat = dict[str, Tensor]
"""Name of a parameter -> its values as one float64 vector."""

MASK_SEED = 0


@dataclass
class Reading:
    """One forward and backward.

    `signals` holds the gradient that each block's output received, and `gradients` that of each parameter. Both leave
    out what received none, such as the output of a block that is frozen with all blocks below it. `error` is dL/dy_hat.
    `sizes` is the root mean square of each block's output, and of the first block's input ("").
    """

    gradients: dict[str, Tensor] = field(default_factory=dict)
    signals: dict[str, Tensor] = field(default_factory=dict)
    sizes: dict[str, float] = field(default_factory=dict)
    error: Tensor | None = None

    @cached_property
    def flat(self) -> Flat:
        """The gradients as vectors, for `compare`."""
        return flat(self.gradients)


class Watched(Pass):
    """Wraps another pass without changing it, and records `outputs`, `joined` and a `reading`."""

    def __init__(self, network: Network, inner: Pass) -> None:
        self.network, self.inner = network, inner
        self.outputs: dict[str, Tensor] = {}
        self.joined: Tensor | None = None
        self.reading = Reading()
        self.cuts = inner.cuts

    @contextmanager
    def around(self) -> Iterator[None]:
        """The inner pass's context, with a hook on the first block's input."""
        first = self.network.blocks[0].module if self.network.blocks else self.network.model
        handle = first.register_forward_pre_hook(self._enter, with_kwargs=True)
        try:
            with self.inner.around():
                yield
        finally:
            handle.remove()

    @override
    def cut(self, block: Block, output: Tensor) -> Tensor:
        if block.call + 1 < block.calls:  # see `at_last_call`
            return self.inner.cut(block, output)
        self.outputs[block.name] = output
        if torch.is_grad_enabled():
            self.reading.sizes[block.name] = _size(output)
        if output.requires_grad:
            output.register_hook(lambda signal: self.reading.signals.__setitem__(block.name, signal.detach()))
        return self.inner.cut(block, output)

    @override
    def join(self, logits: Tensor) -> Tensor:
        self.joined = self.inner.join(logits)
        if self.joined.requires_grad:
            self.joined.register_hook(lambda error: setattr(self.reading, "error", error.detach()))
        return self.joined

    @override
    def again(self) -> Pass:
        return self.inner.again()

    def _enter(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        activation = first_activation([args, kwargs])
        if activation is not None and torch.is_grad_enabled():
            self.reading.sizes[""] = _size(activation)


def at_last_call(block: Block) -> Block:
    """`block` at its last call. There a reading reads a module that is called several times."""
    return block.at_call(block.calls - 1)


def rule_pass(network: Network, rule: LearningRule, batch: Batch) -> Pass:
    """The pass that `rule` opens on `batch` with its current feedback: no refresh, no anchor, no counting."""
    network.advances = False
    try:
        return rule.open_pass(network, batch)
    finally:
        network.advances = True


def forward(network: Network, pass_: Pass, batch: Batch) -> tuple[Any, Watched]:
    """The model's output in a watched pass. Every forward has the same dropout masks."""
    watched = Watched(network, pass_)
    torch.default_generator.manual_seed(MASK_SEED)
    if network.device.type == "cuda":
        torch.cuda.manual_seed(MASK_SEED)
    return network.run(watched, batch), watched


def read(network: Network, pass_: Pass, batch: Batch, loss_of: Loss) -> Reading:
    """One forward and backward. No parameter's `.grad` changes."""
    parameters = {name: p for name, p in network.model.named_parameters() if p.requires_grad}
    with preserved(network.model):
        output, watched = forward(network, pass_, batch)
        gradients = torch.autograd.grad(loss_of(output), list(parameters.values()), allow_unused=True)
    watched.reading.gradients = {name: g for name, g in zip(parameters, gradients, strict=True) if g is not None}
    return watched.reading


def flat(tensors: dict[str, Tensor]) -> Flat:
    """Flatten every tensor to float64, as input for `compare`."""
    return {name: tensor.detach().flatten().double() for name, tensor in tensors.items()}


def _size(activation: Tensor) -> float:
    return activation.detach().double().square().mean().sqrt().item()


Values = dict[str, dict[str, float]]
"""Block name, or `HIDDEN` or `NETWORK` of record/table.py -> column -> number."""


class NotMeasuredError(Exception):
    """A metric has no values for this rule. The message gives the reason."""


class Metric(Protocol):
    """A diagnostic quantity, accumulated over probe batches."""

    def see(self, batch: Batch, own: Reading, true: Reading) -> None:
        """Add one probe batch."""

    def values(self) -> Values:
        """Return the values. Called after the last batch."""


def watch(rule: LearningRule, method: str, note: Callable[..., object]) -> None:
    """Call `note` with the arguments of each call of `rule.method`. `rule` must be a copy made by `apart`."""
    original = getattr(rule, method)

    @wraps(original)
    def noted(*args: Any, **kwargs: Any) -> Any:
        note(*args, **kwargs)
        return original(*args, **kwargs)

    setattr(rule, method, noted)


@contextmanager
def apart(network: Network) -> Iterator[LearningRule]:
    """Yield a copy of the network's rule for extra passes, and restore everything at the end.

    It restores the rule, its feedback and random streams, the pass counts, the model's buffers and the global random
    generators. Gradients do not change if the passes use `torch.autograd.grad`. Compiled models run uncompiled.
    """
    counts, streams = network.counts, network.streams
    stored = [(module, name, module._buffers[name]) for module in network.model.modules() for name in _stored(module)]
    values = [None if buffer is None else buffer.clone() for _, _, buffer in stored]
    network.counts, network.streams = copy.copy(counts), copy.deepcopy(streams)
    try:
        with preserved(network.model), torch.enable_grad(), torch.compiler.set_stance("force_eager"):
            yield _copied(network.rule, network)
    finally:
        network.counts, network.streams = counts, streams
        _put_back(network.model, stored, values)


def _copied(rule: LearningRule, network: Network) -> LearningRule:
    """A deep copy of the rule. Its references to parts of the network still point to this network."""
    modules = [module for root in (network.model, *network.owned.modules()) for module in root.modules()]
    held = [network, *network.blocks, *modules, *network.parameters()]
    return copy.deepcopy(rule, {id(part): part for part in held})


def _stored(module: nn.Module) -> list[str]:
    return [name for name in module._buffers if name.startswith(PREFIX)]


def _put_back(
    model: nn.Module, stored: list[tuple[nn.Module, str, torch.Tensor | None]], values: list[torch.Tensor | None]
) -> None:
    """Restore the tensor objects that the rule had stored, together with their values."""
    for module in model.modules():
        for name in _stored(module):
            del module._buffers[name]
    with torch.no_grad():
        for (module, name, buffer), value in zip(stored, values, strict=True):
            module._buffers[name] = buffer
            if buffer is not None and value is not None:
                buffer.copy_(value)
