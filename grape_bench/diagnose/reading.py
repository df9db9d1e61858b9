"""What one pass does with a probe batch: activations, signals, gradients."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from grape_bench.network.block import PREFIX, Block
from grape_bench.network.network import Network
from grape_bench.network.passes import Pass
from grape_bench.network.preserve import preserved
from grape_bench.network.rule import LearningRule
from grape_bench.network.trace import Batch
from grape_bench.network.trees import first_activation

Loss = Callable[[Any], Tensor]
"""From what the model returns to the loss."""

Flat = dict[str, Tensor]
"""By parameter: its numbers in float64, as one vector."""

MASK_SEED = 0


@dataclass
class Reading:
    """One forward and backward. `signals` is what came back to each block's output, `gradients` what each parameter
    got (what got nothing is absent), `error` dL/dy_hat; `sizes` is the root mean square of the first block's input
    (named "") and of each block's output.
    """

    gradients: dict[str, Tensor] = field(default_factory=dict)
    signals: dict[str, Tensor] = field(default_factory=dict)
    sizes: dict[str, float] = field(default_factory=dict)
    error: Tensor | None = None

    @cached_property
    def flat(self) -> Flat:
        """The gradients, to be compared."""
        return flat(self.gradients)


class Watched(Pass):
    """Another pass, unchanged, of which `outputs`, `joined` and a `reading` are kept."""

    def __init__(self, network: Network, inner: Pass) -> None:
        self.network, self.inner = network, inner
        self.outputs: dict[str, Tensor] = {}
        self.joined: Tensor | None = None
        self.reading = Reading()

    @contextmanager
    def around(self) -> Iterator[None]:
        """The inner pass's own, and a look at what goes into the first block."""
        handle = self.network.blocks[0].module.register_forward_pre_hook(self._enter, with_kwargs=True)
        try:
            with self.inner.around():
                yield
        finally:
            handle.remove()

    def cut(self, block: Block, output: Tensor) -> Tensor:
        """As the inner pass cuts."""
        self.outputs[block.name] = output
        if output.requires_grad:
            self.reading.sizes[block.name] = _size(output)
            output.register_hook(lambda signal: self.reading.signals.__setitem__(block.name, signal.detach()))
        return self.inner.cut(block, output)

    def join(self, logits: Tensor) -> Tensor:
        """As the inner pass joins."""
        self.joined = self.inner.join(logits)
        if self.joined.requires_grad:
            self.joined.register_hook(lambda error: setattr(self.reading, "error", error.detach()))
        return self.joined

    def again(self) -> Pass:
        """The inner pass's."""
        return self.inner.again()

    def _enter(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        activation = first_activation([args, kwargs])
        if activation is not None and torch.is_grad_enabled():
            self.reading.sizes[""] = _size(activation)


def rule_pass(network: Network, rule: LearningRule, batch: Batch) -> Pass:
    """The pass that `rule` makes of `batch` with the feedback that it has: no refresh, no anchor, nothing counted."""
    model = network.model
    was_training, model.training = model.training, False  # what rules ask, before they move on by a step
    try:
        return rule.open_pass(network, batch)
    finally:
        model.training = was_training


def forward(network: Network, pass_: Pass, batch: Batch) -> tuple[Any, Watched]:
    """What the model returns, in a pass that is watched; every forward has the same dropout masks."""
    watched = Watched(network, pass_)
    torch.default_generator.manual_seed(MASK_SEED)
    if network.device.type == "cuda":
        torch.cuda.manual_seed(MASK_SEED)
    return network.run(watched, batch), watched


def read(network: Network, pass_: Pass, batch: Batch, loss_of: Loss) -> Reading:
    """Go forward and back once; no parameter's `.grad` is touched."""
    output, watched = forward(network, pass_, batch)
    parameters = {name: p for name, p in network.model.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(loss_of(output), list(parameters.values()), allow_unused=True)
    watched.reading.gradients = {name: g for name, g in zip(parameters, gradients, strict=True) if g is not None}
    return watched.reading


def flat(tensors: dict[str, Tensor]) -> Flat:
    """By parameter, as `compare` takes them."""
    return {name: tensor.detach().flatten().double() for name, tensor in tensors.items()}


def _size(activation: Tensor) -> float:
    return activation.detach().double().square().mean().sqrt().item()


HIDDEN, NETWORK = "(hidden)", "(network)"
"""Rows for the parameters of all blocks together, and for these and the head's."""

Values = dict[str, dict[str, float]]
"""Block's name, `HIDDEN` or `NETWORK` -> column -> number."""


class Metric(Protocol):
    """One quantity."""

    def see(self, batch: Batch, own: Reading, true: Reading) -> None:
        """Take one probe batch into account."""

    def values(self) -> Values:
        """The numbers, after the last batch."""


@contextmanager
def apart(network: Network) -> Iterator[LearningRule]:
    """A copy of the network's rule to make passes with, of which nothing is left at the end.

    The rule itself, its feedback and its random streams, the counts of passes, the model's buffers and every global
    random generator are then what they were; gradients too, where the passes take theirs by `torch.autograd.grad`.
    Compiled models run uncompiled.
    """
    counts, streams = network.counts, network.streams
    python, numpy = random.getstate(), np.random.get_state()
    stored = [(module, name, module._buffers[name]) for module in network.model.modules() for name in _stored(module)]
    values = [None if buffer is None else buffer.clone() for _, _, buffer in stored]
    network.counts, network.streams = copy.copy(counts), copy.deepcopy(streams)
    try:
        with preserved(network.model), torch.enable_grad(), torch.compiler.set_stance("force_eager"):
            yield _copied(network.rule, network)
    finally:
        network.counts, network.streams = counts, streams
        random.setstate(python)
        np.random.set_state(numpy)
        _put_back(network.model, stored, values)


def _copied(rule: LearningRule, network: Network) -> LearningRule:
    """A deep copy that still belongs to this network, should the rule hold on to a part of it."""
    held = [network, *network.blocks, *network.model.modules(), *network.model.parameters()]
    return copy.deepcopy(rule, {id(part): part for part in held})


def _stored(module: nn.Module) -> list[str]:
    return [name for name in module._buffers if name.startswith(PREFIX)]


def _put_back(
    model: nn.Module, stored: list[tuple[nn.Module, str, torch.Tensor | None]], values: list[torch.Tensor | None]
) -> None:
    """The very tensors that the rule had kept, with the numbers that they had."""
    for module in model.modules():
        for name in _stored(module):
            del module._buffers[name]
    with torch.no_grad():
        for (module, name, buffer), value in zip(stored, values, strict=True):
            module._buffers[name] = buffer
            if buffer is not None and value is not None:
                buffer.copy_(value)
