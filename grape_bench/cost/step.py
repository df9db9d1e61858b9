"""The phases of one training step: how long each takes, and what holds memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol
from weakref import WeakSet

import torch
from torch import Tensor

from grape_bench.cost.clock import Clock
from grape_bench.network.block import own_buffers
from grape_bench.network.network import Network
from grape_bench.network.passes import Pass
from grape_bench.network.rule import LearningRule
from grape_bench.network.trace import Batch


class Step(Protocol):
    """A training step is `forward`, `backward` and `update`, in this order."""

    @property
    def network(self) -> Network:
        """The network that is trained."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer of its weights."""

    def forward(self, batch: Batch, target: Tensor) -> Tensor:
        """Clear the gradients and return the loss."""

    def backward(self, loss: Tensor) -> None:
        """Run the backward, in which the rule computes the gradients."""

    def update(self) -> None:
        """Take the optimizer's step."""


SPLIT_WARM_UP, SPLIT_LEAST, SPLIT_MOST = 1, 3, 20  # rounds
SPLIT_BUDGET_S = 0.5

Examples = Iterator[tuple[Batch, Tensor]]


@dataclass(frozen=True)
class TimeSplit:
    """Seconds per step in each phase. `forward` includes the loss. `tangents` is the rule's work before the forward.

    On a GPU the clock synchronizes after each phase, so the sum may exceed the time of a step.
    """

    data: float
    forward: float
    tangents: float
    backward: float
    update: float

    def record(self) -> dict[str, float]:
        """Seconds by phase, under the names that records use. A record calls the backward "credit"."""
        return {"credit" if name == "backward" else name: seconds for name, seconds in asdict(self).items()}


def time_split(step: Step, batches: Examples, device: torch.device, budget_s: float = SPLIT_BUDGET_S) -> TimeSplit:
    """Time each phase: medians over rounds of one period of the rule. No round starts after `budget_s` seconds."""
    started = time.perf_counter()
    rounds: list[dict[str, float]] = []
    while len(rounds) < SPLIT_WARM_UP + SPLIT_LEAST or (
        len(rounds) < SPLIT_WARM_UP + SPLIT_MOST and time.perf_counter() - started < budget_s
    ):
        rounds.append(_round(step, batches, device))
    return TimeSplit(**{name: statistics.median(one[name] for one in rounds[SPLIT_WARM_UP:]) for name in rounds[0]})


def _round(step: Step, batches: Examples, device: torch.device) -> dict[str, float]:
    """Measure the seconds per step over one period of the rule."""
    rule = step.network.rule
    period = rule.period
    clocks = {field.name: Clock(device) for field in fields(TimeSplit)}
    with _timed_opening(rule, clocks["tangents"]):
        for _ in range(period):
            with clocks["data"].running():
                batch, target = next(batches)
            with clocks["forward"].running():
                loss = step.forward(batch, target)
            with clocks["backward"].running():
                step.backward(loss)
            with clocks["update"].running():
                step.update()
    seconds = {name: clock.seconds / period for name, clock in clocks.items()}
    return {**seconds, "forward": seconds["forward"] - seconds["tangents"]}


@contextmanager
def _timed_opening(rule: LearningRule, clock: Clock) -> Iterator[None]:
    """Run `clock` while `rule` opens a pass."""
    open_pass = rule.open_pass

    def timed(*arguments: Any) -> Pass:
        with clock.running():
            return open_pass(*arguments)

    vars(rule)["open_pass"] = timed  # shadows the method, for this object only
    try:
        yield
    finally:
        del vars(rule)["open_pass"]


@dataclass(frozen=True)
class Holders:
    """The bytes of the weights, of what training adds to them, and of what a forward saves for its backward.

    `owned` is for the rule's own parameters, or None if it has none.
    """

    weights: int
    feedback: int
    gradients: int
    optimizer: int
    activations: int
    owned: int | None


def holders(step: Step, batch: Batch, target: Tensor) -> Holders:
    """Take one training step, uncompiled, and count the bytes that it holds."""
    model = step.network.model
    own = own_buffers(model)
    owned = step.network.owned.parameters()
    weights = [*model.parameters(), *own]
    feedback = [buffer for buffer in model.buffers() if all(buffer is not other for other in own)]
    saved: WeakSet[_Saved] = WeakSet()

    def keep(tensor: Tensor) -> _Saved:
        kept = _Saved(tensor)
        saved.add(kept)
        return kept

    with torch.compiler.set_stance("force_eager"):
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept.tensor):
            loss = step.forward(batch, target)
        activations = _alive(saved, [*weights, *feedback, *owned])
        step.backward(loss)
    gradients = _bytes(parameter.grad for parameter in step.network.parameters() if parameter.grad is not None)
    step.update()
    state = (value for values in step.optimizer.state.values() for value in values.values())
    return Holders(
        weights=_bytes(weights),
        feedback=_bytes(feedback),
        gradients=gradients,
        optimizer=_bytes(value for value in state if isinstance(value, Tensor)),
        activations=activations,
        owned=_bytes(owned) or None,
    )


class _Saved:
    """A tensor that autograd saves. It is freed with the graph."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach()  # otherwise, an output saved by its own operation would keep itself alive


def _alive(saved: Iterable[_Saved], known: Iterable[Tensor]) -> int:
    """The bytes of the saved tensors. Each storage counts once. The storages of `known` tensors do not count."""
    storages = [one.tensor.untyped_storage() for one in saved]
    elsewhere = {tensor.untyped_storage().data_ptr() for tensor in known}
    sizes = {storage.data_ptr(): storage.nbytes() for storage in storages}
    return sum(size for place, size in sizes.items() if place not in elsewhere)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)
