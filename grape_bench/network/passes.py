"""What happens at each block and at the output, in one forward and its backward."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import astuple, dataclass
from functools import wraps
from operator import add, sub
from typing import Any

import torch
from torch import Tensor, nn

from grape_bench.errors import UserError
from grape_bench.network.block import Block
from grape_bench.network.owned import collected
from grape_bench.network.preserve import Autocast


class Pass:
    """One forward of the network. This base class changes nothing, so its backward is backpropagation.

    `cuts` means that no gradient may pass a cut. `intercepts` means that the pass replaces operators of the forward.
    """

    cuts = False
    intercepts = False

    def around(self) -> AbstractContextManager[object]:
        """Return the context in which the forward runs."""
        return nullcontext()

    def cut(self, block: Block, output: Tensor) -> Tensor:
        """Return what the network sees downstream of `block` instead of its `output` (N, *shape)."""
        return output

    def join(self, logits: Tensor) -> Tensor:
        """Return what the loss sees instead of the network's output (N, ..., n_out)."""
        return logits

    def again(self) -> Pass:
        """The pass in which activation checkpointing repeats part of this one. It must save the same tensors.

        Only those tensors are used. Gradients flow into the graph of the first pass.
        """
        return Pass()


@dataclass
class PassCounts:
    """Counts what happened in training. `steps` counts training passes: backward passes of ordinary training forwards.

    `forward` counts all forwards of the network, and `backward` counts all backward passes that started at its output.
    Both include passes that the rule made on the side. `hidden` counts the gradients that crossed a cut. `absent` is
    the number of blocks that training passes skipped. `detours` counts the training passes in which a gradient would
    have bypassed the cuts, because a cut layer was skipped.
    Example with 4 blocks and 10 steps: BP gives forward = backward = 10 and hidden = 40, DFA gives 10, 10 and 0.
    """

    steps: int = 0
    forward: int = 0
    backward: int = 0
    hidden: int = 0
    absent: int = 0
    detours: int = 0

    def __add__(self, other: PassCounts) -> PassCounts:
        return PassCounts(*map(add, astuple(self), astuple(other)))

    def __sub__(self, other: PassCounts) -> PassCounts:
        return PassCounts(*map(sub, astuple(self), astuple(other)))


@dataclass(frozen=True)
class Forward:
    """A forward without a graph: what the model returned, and the leaf that replaces the network's output in it."""

    returned: Any
    leaf: Tensor

    def error(self, loss_of: Callable[[Any], Tensor]) -> Tensor:
        """dL/dy_hat (N, ..., n_out), where the loss is computed from what the model returned."""
        (error,) = torch.autograd.grad(loss_of(self.returned), self.leaf)
        return error


class HeadPass(Pass):
    """A pass in which nothing below the last block's output gets a gradient."""

    cuts = True

    def cut(self, block: Block, output: Tensor) -> Tensor:
        """Return the output as a constant."""
        return output.detach()

    def again(self) -> Pass:
        """Another head pass."""
        return HeadPass()


class LocalPass(Pass):
    """A pass in which each block's backward runs as soon as its output exists, with `signal` as the gradient.

    The gradients of the block's parameters are added to `.grad`. A rule runs it in its second phase:
    `network.aside(LocalPass(lambda block: ...), batch)`. `trained` is called after each block.
    """

    cuts = True

    def __init__(self, signal: Callable[[Block], Tensor], trained: Callable[[], None] = lambda: None) -> None:
        self.signal, self.trained = signal, trained

    def cut(self, block: Block, output: Tensor) -> Tensor:
        """Run the block's backward and return its output as a constant."""
        if output.requires_grad:
            with torch.no_grad():
                signal = self.signal(block.at(output.detach())).to(output.dtype)
            # Retained because blocks may share a part (every decoder block reads the encoder). It is freed with
            # `output`.
            torch.autograd.backward(output, signal, retain_graph=True)
            self.trained()
        return output.detach()


Signal = Callable[[Block, Tensor], Tensor]
"""(block with its output, error dL/dy_hat) -> the replacement of dL/dh, shaped like the block's output."""


FUSED_BYTES = 2**21
"""The most bytes of signals that are in memory at the same time."""


class CutPass(Pass):
    """Each block's output is detached downstream and gets its gradient from `signal` instead.

    An ordinary `loss.backward()` runs it. The join receives the error at the network's output and asks for the signals
    of the blocks, later blocks first. Each block's graph is independent.
    The join returns the signals of the first `fused_bytes` of outputs together. Every other block has a scalar token,
    which gets a gradient from the join. When autograd reaches the token, its backward asks for that block's signal. So
    only one large signal is in memory at a time.
    `forward` is a forward that the rule has already run on the same batch, if any. Only a lean step uses it.
    `independent` means that no block's signal waits for another block or for a second forward.
    """

    # Example: an MLP with blocks h1, h2 (N, 256) and logits y (N, 10). The model sees h1.detach(), h2.detach().
    #   forward:  y' = _Join(y, h1, h2)
    #   backward: e (N, 10) arrives at y'; the join returns e, signal(h1, e) (N, 256) and signal(h2, e) (N, 256)
    # If the signals are large:
    #   forward:  t1 = _Cut(h1) (), t2 = _Cut(h2) (); y' = _Join(y, t1, t2)
    #   backward: e (N, 10) arrives at y'; t2 -> signal(h2, e) (N, 256) runs through block 2; then the same for t1

    cuts = True
    independent = True
    fused_bytes = FUSED_BYTES

    def __init__(self, signal: Signal, forward: Forward | None = None) -> None:
        self.signal, self.forward = signal, forward
        self.error: Tensor | None = None
        self._tokens: list[Tensor] = []
        self._fused: list[tuple[Block, Tensor]] = []
        self._bytes = 0

    def around(self) -> AbstractContextManager[object]:
        """Change nothing. Drops the rule's own forward, which holds memory that this pass does not need."""
        self.forward = None
        return super().around()

    def cut(self, block: Block, output: Tensor) -> Tensor:
        """Return the output as a constant (N, *shape). The join or a token keeps its graph for the signal."""
        seen = output.detach()
        if not output.requires_grad:
            return seen
        size, owned = output.numel() * output.element_size(), block.parameters()
        # If the model writes to the base of a view, the write would enter the graph of the view before the join.
        if self._bytes + size > self.fused_bytes or owned or output._is_view():
            self._tokens.append(_Cut.apply(output, block.at(seen), self, *owned))
        else:
            self._bytes += size
            self._fused.append((block.at(seen), output))
        return seen

    def join(self, logits: Tensor) -> Tensor:
        """Return the output itself (N, ..., n_out). Its backward starts the backward of every block."""
        tokens, fused, self._tokens, self._fused, self._bytes = self._tokens, self._fused, [], [], 0
        joined: Tensor = _Join.apply(self, [block for block, _ in fused], logits, *(one for _, one in fused), *tokens)
        return joined

    def signal_of(self, block: Block, dtype: torch.dtype) -> Tensor:
        """The signal for the output of `block`, once the error has arrived."""
        assert self.error is not None, "the error arrives before any signal is asked for"
        signal = self.signal(block, block.part_of(self.error))
        if not isinstance(signal, Tensor):
            raise TypeError(
                f"the signal for block {block.name!r} is {signal!r}; it must be a tensor {tuple(block.output_shape)}"
            )
        if signal.shape != block.output_shape:
            raise ValueError(
                f"the signal for block {block.name!r} has shape {tuple(signal.shape)}; "
                f"its output has {tuple(block.output_shape)}"
            )
        return signal.to(dtype)

    def receive(self, error: Tensor) -> None:
        """Called when the error arrives, before any signal. A subclass can compute here what all signals share."""
        self.error = error

    def again(self) -> Pass:
        """A pass with the same cuts, but without signals."""
        return HeadPass()


Backward = Callable[..., tuple[Any, ...]]


def once_differentiable(backward: Backward) -> Backward:
    """Run `backward` without a graph. A second derivative through it raises UserError, with a workaround."""

    @wraps(backward)
    def run(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        if not torch.is_grad_enabled():
            return backward(ctx, *gradients)
        with torch.no_grad():
            found = backward(ctx, *gradients)
        if not any(gradient.requires_grad for gradient in gradients):
            return found
        return tuple(_Once.apply(one, *gradients) if isinstance(one, Tensor) else one for one in found)

    return run


class _Once(torch.autograd.Function):
    """(value, gradients that it was computed from) -> value. Backward: raises the error."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, *gradients: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *_: Any) -> tuple[None, ...]:
        raise UserError(
            "a rule's signals have no second derivative (create_graph=True, as in a gradient penalty)",
            allowed="second derivatives under bp, on an anchor, or without a rule",
            hint="compute this term on a deep copy of the model after net.detach() on the copy, or use the rule bp",
        )


class _Cut(torch.autograd.Function):
    """(a block's output, the parameters that the rule owns there) -> a token.

    Backward: the token's (meaningless) gradient -> (the block's signal, the gradients of the owned parameters).
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, block: Block, owner: CutPass, *owned: nn.Parameter) -> Tensor:
        ctx.block, ctx.owner, ctx.dtype, ctx.owned = block, owner, output.dtype, owned
        ctx.autocast = Autocast(output.device) if owned else None
        return output.new_empty(())  # never read, so it need not be filled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor | None, ...]:
        if not ctx.owned:
            return ctx.owner.signal_of(ctx.block, ctx.dtype), None, None
        with collected(ctx.owned) as gradients, ctx.autocast.again():
            signal = ctx.owner.signal_of(ctx.block, ctx.dtype)
        return signal, None, None, *gradients


class _Join(torch.autograd.Function):
    """(logits, outputs of `blocks`, tokens) -> logits.

    Backward: e -> (e, the blocks' signals, a gradient per token, so that autograd visits each token).
    """

    @staticmethod
    def forward(ctx: Any, owner: CutPass, blocks: list[Block], logits: Tensor, *cut: Tensor) -> Tensor:
        ctx.owner, ctx.blocks = owner, [(block, output.dtype) for block, output in zip(blocks, cut, strict=False)]
        ctx.tokens = len(cut) - len(blocks)
        return logits.clone()  # not a view, because the loss could not write to one

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:
        ctx.owner.receive(error)
        signals = [ctx.owner.signal_of(block, dtype) for block, dtype in reversed(ctx.blocks)]
        tokens = [error.new_zeros(())] * ctx.tokens if ctx.tokens else []
        return None, None, error, *reversed(signals), *tokens
