"""Blocks that go back at the same time: the graph of each on a CUDA stream of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, cuda

from grape_bench.errors import UserError
from grape_bench.network.block import Block
from grape_bench.network.passes import CutPass, Pass
from grape_bench.network.trace import Batch

if TYPE_CHECKING:
    from grape_bench.network.network import Network

BRANCHES = 8
"""Streams; more blocks than that take turns. cuBLAS keeps a workspace (32 MiB on an H100) per stream and thread."""


def parallel_backward(network: Network, batch: Batch, loss_of: Callable[[Any], Tensor]) -> Tensor:
    """Forward and backward of one training step, in the place of `loss.backward()`; the detached loss.

    The gradients are those of an ordinary step; the saved activations all live until its end. `loss_of` takes what
    the model returns. A rule that needs one block's result for another's goes back as ever. Raises UserError
    where the model is not on a CUDA device.
    """
    require_cuda(network, "parallel_backward")
    return backward_of(network, open_pass(network, batch), batch, loss_of)


def open_pass(network: Network, batch: Batch) -> Pass:
    """The pass that the attached rule opens on `batch`."""
    if network.rule is None:
        raise RuntimeError("no rule is attached")
    return network.rule.open_pass(network, batch)


def require_cuda(network: Network, what: str) -> None:
    """Raise UserError where the model is not on a CUDA device."""
    if network.device.type != "cuda":
        raise UserError(
            f"{what} needs CUDA, and the model is on {network.device}",
            hint='model.to("cuda") before attaching the rule, or an ordinary loss.backward()',
        )


def backward_of(network: Network, pass_: Pass, batch: Batch, loss_of: Callable[[Any], Tensor]) -> Tensor:
    """Forward and backward of `pass_`, on streams of their own where the blocks do not need each other."""
    if not isinstance(pass_, CutPass):
        loss = loss_of(network.run(pass_, batch))
        loss.backward()
        return loss.detach()
    blocks = len(network.blocks)
    parallel = ParallelPass(pass_, side_streams(network.device, min(BRANCHES, blocks)), blocks)
    try:
        loss = loss_of(network.run(parallel, batch))
        # One block's backward may read memory that another block's stream allocated. The retained graph keeps that
        # memory until all streams are joined; freed earlier, the other stream could write over it.
        loss.backward(retain_graph=True)
    finally:
        # After an error too: a caller that catches it must not free or reuse memory that a stream still reads.
        parallel.join_streams()
    return loss.detach()


@cache
def side_streams(device: torch.device, count: int) -> tuple[cuda.Stream, ...]:
    """`count` streams of `device`, the same ones at every call."""
    return tuple(cuda.Stream(device) for _ in range(count))


class ParallelPass(Pass):
    """A cut pass whose forward changes to another stream after each block, and back to the caller's for the head.

    Each stream waits for the one before, so the forward is as sequential as ever. Autograd runs every operation's
    backward on the stream of its forward and lets streams wait for each other where gradients cross: a block's
    backward, its signal included, thus waits for the error and for nothing else.
    """

    def __init__(self, cut_pass: CutPass, streams: tuple[cuda.Stream, ...], blocks: int) -> None:
        self.cut_pass, self.streams, self.blocks = cut_pass, streams, blocks
        self.device = streams[0].device
        self.used: list[cuda.Stream] = []

    @contextmanager
    def around(self) -> Iterator[None]:
        """Begins on the first block's stream; ends on the caller's, whatever happens."""
        with cuda.device(self.device), self.cut_pass.around():
            self._caller, self._cuts = cuda.current_stream(self.device), 0
            self._go_on(self.streams[0])
            try:
                yield
            finally:
                self._go_on(self._caller)

    def cut(self, block: Block, output: Tensor) -> Tensor:
        """As the cut pass does, on the block's stream; then on to the next."""
        seen = self.cut_pass.cut(block, output)
        self._cuts += 1
        last = self._cuts == self.blocks
        self._go_on(self._caller if last else self.streams[self._cuts % len(self.streams)])
        return seen

    def join(self, logits: Tensor) -> Tensor:
        """As the cut pass does, on the caller's stream even where the model left out a block."""
        self._go_on(self._caller)
        return self.cut_pass.join(logits)

    def again(self) -> Pass:
        """As the cut pass does; autograd is on the right stream when it runs a part again."""
        return self.cut_pass.again()

    def join_streams(self) -> None:
        """Let the current stream wait for all that the blocks' streams were given."""
        for stream in self.used:
            cuda.current_stream(self.device).wait_stream(stream)

    def _go_on(self, stream: cuda.Stream) -> None:
        before = cuda.current_stream(self.device)
        if stream == before:
            return
        stream.wait_stream(before)
        cuda.set_stream(stream)
        if stream != self._caller and stream not in self.used:
            self.used.append(stream)
