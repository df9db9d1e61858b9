"""What happens at each block and at the output during one forward, and in its backward."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from grape_bench.network.block import Block


class Pass:
    """One forward of the network. This one changes nothing: its backward is backpropagation."""

    def around(self) -> AbstractContextManager[object]:
        """The context in which the forward runs."""
        return nullcontext()

    def cut(self, block: Block, output: Tensor) -> Tensor:
        """What the network sees downstream of `block` in place of its `output` (N, *shape)."""
        return output

    def join(self, logits: Tensor) -> Tensor:
        """What the loss sees in place of the network's output (N, ..., n_out)."""
        return logits

    def again(self) -> Pass:
        """The pass in which activation checkpointing runs a part of this one again, to save the same tensors.

        Only those are used of it: the graph that gets the gradients is the first one's.
        """
        return Pass()


@dataclass
class PassCounts:
    """What autograd really did: `backward` starts at the output, and `hidden` visits to a hidden block.

    Example with 4 blocks and 10 steps: BP gives backward = 10 and hidden = 40, DFA gives 10 and 0.
    """

    backward: int = 0
    hidden: int = 0


@dataclass(frozen=True)
class Forward:
    """A forward without a graph: what the model returned, and the leaf that stands in it for the network's output."""

    returned: Any
    leaf: Tensor

    def error(self, loss_of: Callable[[Any], Tensor]) -> Tensor:
        """dL/dy_hat (N, ..., n_out) of the loss of what was returned."""
        (error,) = torch.autograd.grad(loss_of(self.returned), self.leaf)
        return error


class HeadPass(Pass):
    """Nothing below the last block's output gets a gradient."""

    def cut(self, block: Block, output: Tensor) -> Tensor:
        """The output as a constant."""
        return output.detach()

    def again(self) -> Pass:
        """The same."""
        return HeadPass()


Signal = Callable[[Block, Tensor], Tensor]
"""(block with its output, error dL/dy_hat) -> what stands for dL/dh, shaped like the block's output."""


class CutPass(Pass):
    """Each block's output is detached downstream and gets its gradient from `signal` instead.

    An ordinary `loss.backward()` drives it: the join hands the error that arrives at the network's output to
    one scalar token per block, and a token's backward asks for that block's signal when autograd reaches it.
    Blocks made later come first, so one signal is alive at a time, and each block's graph is independent.
    `forward` is one that the rule has made of the same batch, if it has; a pass of this kind does not need it.
    """

    def __init__(self, signal: Signal, forward: Forward | None = None) -> None:
        self.signal, self.forward = signal, forward
        self.error: Tensor | None = None
        self._tokens: list[Tensor] = []

    def around(self) -> AbstractContextManager[object]:
        """Nothing; what the rule's own forward holds is let go."""
        self.forward = None
        return super().around()

    def cut(self, block: Block, output: Tensor) -> Tensor:
        """The output as a constant; its graph is kept for the signal."""
        if output.requires_grad:
            self._tokens.append(_Cut.apply(output, block, self))
        return output.detach()

    def join(self, logits: Tensor) -> Tensor:
        """The output itself, whose backward starts that of every block."""
        tokens, self._tokens = self._tokens, []
        joined: Tensor = _Join.apply(self, logits, *tokens)
        return joined

    def receive(self, error: Tensor) -> None:
        """The error has arrived, before any signal is asked for; what all signals need of it is computed here."""
        self.error = error

    def again(self) -> Pass:
        """Cut at the same places, with no signal."""
        return HeadPass()


class _Cut(torch.autograd.Function):
    """A block's output -> a token; backward: the token's (meaningless) gradient -> the block's signal."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, block: Block, owner: CutPass) -> Tensor:
        ctx.block, ctx.owner, ctx.dtype = block.at(output.detach()), owner, output.dtype
        return output.new_empty(())  # never read, so nothing has to fill it

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor, None, None]:
        block, error = ctx.block, ctx.owner.error
        signal = ctx.owner.signal(block, error)
        if signal.shape != block.output_shape:
            raise ValueError(
                f"the signal for block {block.name!r} has shape {tuple(signal.shape)}; "
                f"its output has {tuple(block.output_shape)}"
            )
        return signal.to(ctx.dtype), None, None


class _Join(torch.autograd.Function):
    """(logits, tokens) -> logits; backward: e -> (e, a gradient per token so that each is visited)."""

    @staticmethod
    def forward(ctx: Any, owner: CutPass, logits: Tensor, *tokens: Tensor) -> Tensor:
        ctx.owner, ctx.tokens = owner, len(tokens)
        return logits.clone()  # not a view, which the loss could not write to

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:
        ctx.owner.receive(error)
        return None, error, *[error.new_zeros(())] * ctx.tokens
