"""Training steps that hold the activations and gradients of only one block at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from grape_bench.errors import UserError
from grape_bench.network.block import Block
from grape_bench.network.passes import CutPass, Forward, Pass, Signal
from grape_bench.network.preserve import preserved
from grape_bench.network.tangents import same_dropout
from grape_bench.network.trace import Batch

if TYPE_CHECKING:
    from grape_bench.network.network import Network


def lean_step(
    network: Network, batch: Batch, loss_of: Callable[[Any], Tensor], optimizer: torch.optim.Optimizer
) -> Tensor:
    """Take one optimizer step of a direct-feedback rule and return the detached loss.

    A first forward without a graph gives the error at the output. If GrAPE refreshes its feedback, its forward on dual
    numbers serves as that first forward. A second forward, with graphs, runs each block's backward as soon as the
    block's output exists, and updates the block's weights before the next block begins. The update equals that of an
    ordinary step. `loss_of` maps the model's output to the loss. Raises UserError for a rule in which one block waits
    for another.
    """
    # Example: blocks h1, h2 (N, 256), logits (N, 10). Forward 1: no graph, e (N, 10).
    # Forward 2: h1, signal e @ B1 (N, 256), backward of block 1, step its weights, free its graph; the same for h2;
    # then loss.backward() for the head alone. At any time only one block's activations are held, not three.
    rule_pass = network.rule.open_pass(network, batch)
    if not isinstance(rule_pass, CutPass):
        raise UserError(
            f"{network.rule!r} cannot train block by block",
            allowed="rules with direct feedback: dfa, grape, or your own DirectFeedback",
        )
    dual = rule_pass.forward is not None
    with preserved(network.model):
        forward = rule_pass.forward or _forward(network, batch)
        error = forward.error(loss_of)
    optimizer.zero_grad(set_to_none=True)
    update = _Update(network, optimizer)
    # GrAPE's forward on dual numbers gave the error, so this forward needs the same dropout masks.
    with same_dropout(network.device) if dual else nullcontext():
        loss = loss_of(network.run(LeanPass(rule_pass.signal, error, update), batch))
    loss.backward()
    update.last()
    return loss.detach()


def output_error(network: Network, batch: Batch, loss_of: Callable[[Any], Tensor]) -> Tensor:
    """Return dL/dy_hat (N, ..., n_out) from a forward without a graph. Buffers and random state do not change."""
    with preserved(network.model):
        return _forward(network, batch).error(loss_of)


def _forward(network: Network, batch: Batch) -> Forward:
    pass_ = _LeafPass()
    returned = network.run(pass_, batch)
    return Forward(returned, pass_.leaf)


class _LeafPass(Pass):
    """A forward without a graph up to the output, which becomes a leaf."""

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


class LeanPass(Pass):
    """Runs each block's backward within the forward, and calls `update` when its gradients exist."""

    cuts = True

    def __init__(self, signal: Signal, error: Tensor, update: Callable[[], None]) -> None:
        self.signal, self.error, self.update = signal, error, update

    def cut(self, block: Block, output: Tensor) -> Tensor:
        """Run the block's backward and return its output as a constant."""
        if output.requires_grad:
            signal = self.signal(block.at(output.detach()), block.own(self.error)).to(output.dtype)
            # Retained because blocks may share a part (every decoder block reads the encoder); freed with `output`.
            torch.autograd.backward(output, signal, retain_graph=True)
            self.update()
        return output.detach()


class _Update:
    """Steps the parameters that have a gradient. Parameters in several blocks wait for their last gradient."""

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
        """Step the head and the parameters that waited."""
        for parameter, gradient in self.waiting:
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        self.optimizer.step()
