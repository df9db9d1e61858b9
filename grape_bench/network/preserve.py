"""Run a model, or a network with its rule, aside without leaving a trace."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from grape_bench.network.block import PREFIX, own_buffers

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.rules.base import LearningRule


@contextmanager
def preserved(model: nn.Module) -> Iterator[None]:
    """Restore the model's own buffers (BatchNorm statistics) and the random generators at the end.

    The next forward therefore draws the same dropout masks as one made inside.
    """
    saved = [(buffer, buffer.clone()) for buffer in own_buffers(model)]
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        with torch.no_grad():
            for buffer, value in saved:
                buffer.copy_(value)


@contextmanager
def apart(network: Network) -> Iterator[LearningRule]:
    """A copy of the network's rule to make passes with, of which nothing is left at the end.

    The rule itself, its feedback and its random streams, the counts of passes, the model's buffers and every global
    random generator are then what they were; gradients too, where the passes take theirs by `torch.autograd.grad`.
    Compiled models run uncompiled. Raises RuntimeError where no rule is attached.
    """
    rule = network.rule
    if rule is None:
        raise RuntimeError("no rule is attached")
    counts = network.backward_passes, network.hidden_block_passes
    seed, streams, python, numpy = network.seed, network._generators, random.getstate(), np.random.get_state()
    stored = [(module, name, module._buffers[name]) for module in network.model.modules() for name in _stored(module)]
    values = [None if buffer is None else buffer.clone() for _, _, buffer in stored]
    network._generators = copy.deepcopy(streams)
    try:
        with preserved(network.model), torch.enable_grad(), torch.compiler.set_stance("force_eager"):
            yield _copied(rule, network)
    finally:
        network.seed, network._generators = seed, streams
        network.backward_passes, network.hidden_block_passes = counts
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
