"""What holds a training step's memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakSet

import torch
from torch import Tensor

from grape_bench.diagnose.step import Step
from grape_bench.network.block import own_buffers


@dataclass(frozen=True)
class Holders:
    """Bytes: of the weights, of what training adds to them, and of what a forward keeps for its backward."""

    weights: int
    feedback: int
    gradients: int
    optimizer: int
    activations: int


def holders(step: Step, inputs: Tensor, labels: Tensor) -> Holders:
    """Take one training step, uncompiled, and weigh what it holds."""
    model = step.network.model
    own = own_buffers(model)
    weights = [*model.parameters(), *own]
    feedback = [buffer for buffer in model.buffers() if all(buffer is not other for other in own)]
    saved: WeakSet[_Saved] = WeakSet()

    def keep(tensor: Tensor) -> _Saved:
        kept = _Saved(tensor)
        saved.add(kept)
        return kept

    with torch.compiler.set_stance("force_eager"):
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept.tensor):
            loss = step.forward(inputs, labels)
        activations = _alive(saved, [*weights, *feedback])
        step.credit(loss)
    gradients = _bytes(parameter.grad for parameter in model.parameters() if parameter.grad is not None)
    step.update()
    state = (value for values in step.optimizer.state.values() for value in values.values())
    return Holders(
        weights=_bytes(weights),
        feedback=_bytes(feedback),
        gradients=gradients,
        optimizer=_bytes(value for value in state if isinstance(value, Tensor)),
        activations=activations,
    )


class _Saved:
    """A tensor that autograd keeps, until its graph is gone."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach()  # with its graph, an output that its own operation saves would never go away


def _alive(saved: Iterable[_Saved], known: Iterable[Tensor]) -> int:
    """Bytes behind the saved tensors, each memory once, and that of `known` tensors not at all."""
    storages = [one.tensor.untyped_storage() for one in saved]
    elsewhere = {tensor.untyped_storage().data_ptr() for tensor in known}
    sizes = {storage.data_ptr(): storage.nbytes() for storage in storages}
    return sum(size for place, size in sizes.items() if place not in elsewhere)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)
