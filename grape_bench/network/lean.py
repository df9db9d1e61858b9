"""Training steps that hold the activations and gradients of only one block at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from grape_bench.errors import UserError
from grape_bench.network.passes import CutPass, Forward, LocalPass, Pass, Signal
from grape_bench.network.tangents import same_dropout
from grape_bench.network.trace import Batch

if TYPE_CHECKING:
    from grape_bench.network.network import Network


def lean_step(
    network: Network, batch: Batch, loss_of: Callable[[Any], Tensor], optimizer: torch.optim.Optimizer
) -> Tensor:
    """Take one optimizer step of a direct-feedback rule and return the detached loss.

    A first forward without a graph gives the error at the output. (If GrAPE refreshes its feedback, its forward on dual
    numbers is reused as that first forward.) A second forward, with graphs, runs each block's backward as soon as the
    block's output exists, and updates the block's weights before the next block begins. The update equals that of an
    ordinary step. `loss_of` maps the model's output to the loss. Raises UserError for a rule in which one block waits
    for another.
    """
    # Example: blocks h1, h2 (N, 256), logits (N, 10). Forward 1: no graph, e (N, 10).
    # Forward 2: h1, signal e @ B1 (N, 256), backward of block 1, step its weights, free its graph; the same for h2;
    # then loss.backward() for the head alone. Only one block's activations are in memory at a time, not three.
    rule_pass = network.rule.open_pass(network, batch)
    if not isinstance(rule_pass, CutPass) or not rule_pass.independent:
        raise UserError(
            f"{network.rule!r} cannot train block by block",
            allowed="rules with direct feedback: dfa, grape, or your own DirectFeedback",
        )
    dual = rule_pass.forward is not None
    forward = rule_pass.forward or _forward(network, batch)
    error = forward.error(loss_of)
    optimizer.zero_grad(set_to_none=True)
    update = _Update(network, optimizer)
    # GrAPE's forward on dual numbers gave the error, so this forward must use the same dropout masks.
    with same_dropout(network.device) if dual else nullcontext():
        loss = loss_of(network.run(lean_pass(rule_pass.signal, error, update), batch))
    loss.backward()
    update.last()
    return loss.detach()


def output_error(network: Network, batch: Batch, loss_of: Callable[[Any], Tensor]) -> Tensor:
    """Return dL/dy_hat (N, ..., n_out) from a forward without a graph. Buffers and random state do not change."""
    return _forward(network, batch).error(loss_of)


def _forward(network: Network, batch: Batch) -> Forward:
    pass_ = _LeafPass()
    returned = network.aside(pass_, batch)
    return Forward(returned, pass_.leaf)


def lean_pass(signal: Signal, error: Tensor, update: Callable[[], None]) -> LocalPass:
    """The pass that trains each block with the `signal` for a known `error`, and calls `update` after each block."""
    return LocalPass(lambda block: signal(block, block.part_of(error)), update)


class _LeafPass(Pass):
    """A forward that has no graph below the output. The output becomes a leaf."""

    leaf: Tensor

    @contextmanager
    def around(self) -> Iterator[None]:
        """Disable the graph up to the output."""
        with torch.no_grad():
            yield

    def join(self, logits: Tensor) -> Tensor:
        """Turn the output into the leaf that the loss depends on. The graph starts here."""
        torch.set_grad_enabled(True)
        self.leaf = logits.detach().requires_grad_()
        return self.leaf


class _Update:
    """Steps the parameters that have a gradient. A parameter in several blocks waits for its last gradient."""

    def __init__(self, network: Network, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.shared = network.shared_parameters()
        self.waiting: list[tuple[Tensor, Tensor]] = []

    def __call__(self) -> None:
        for parameter in self.shared:
            if parameter.grad is not None:
                self.waiting.append((parameter, parameter.grad))
                parameter.grad = None
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def last(self) -> None:
        """Step the head and the parameters that have waited."""
        for parameter, gradient in self.waiting:
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        self.optimizer.step()
