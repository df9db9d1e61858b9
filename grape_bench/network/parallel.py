"""Run the backward passes of independent blocks at the same time, each on its own CUDA stream.

Experimental: this ran on one H200 (see docs/speed.md) and on no other GPU. It is not part of the public API, and no job
uses it.
"""

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
"""The number of CUDA streams. With more blocks, several blocks share a stream. cuBLAS keeps a workspace (32 MiB on an
H100) per stream and thread."""


def parallel_backward(network: Network, batch: Batch, loss_of: Callable[[Any], Tensor]) -> Tensor:
    """Run the forward and backward of one training step and return the detached loss. Replaces `loss.backward()`.

    The gradients equal those of an ordinary step. All saved activations stay in memory until the end of the step.
    `loss_of` maps the model's output to the loss. A rule in which one block waits for another (BP, FA) runs an ordinary
    backward. Raises UserError if the model is not on a CUDA device.
    """
    require_cuda(network, "parallel_backward")
    return backward_of(network, network.rule.open_pass(network, batch), batch, loss_of)


def require_cuda(network: Network, what: str) -> None:
    """Raise UserError if the model is not on a CUDA device. `what` is the function that needs it."""
    if network.device.type != "cuda":
        raise UserError(
            f"{what} needs CUDA, and the model is on {network.device}",
            hint='model.to("cuda") before attaching the rule, or an ordinary loss.backward()',
        )


def backward_of(network: Network, pass_: Pass, batch: Batch, loss_of: Callable[[Any], Tensor]) -> Tensor:
    """Run the forward and backward of `pass_`, on several CUDA streams if the blocks are independent."""
    if not isinstance(pass_, CutPass) or not pass_.independent:
        loss = loss_of(network.run(pass_, batch))
        loss.backward()
        return loss.detach()
    blocks = len(network.blocks)
    parallel = ParallelPass(pass_, cuda_streams(network.device, min(BRANCHES, blocks)), blocks)
    try:
        loss = loss_of(network.run(parallel, batch))
        # One block's backward may read memory that another block's stream allocated. If the graph freed it now, the
        # other stream could overwrite it. So the graph is retained until all streams have been joined.
        loss.backward(retain_graph=True)
    finally:
        # Also after an error: a caller that catches it must not free or reuse memory that a stream still reads.
        parallel.join_streams()
    return loss.detach()


@cache
def cuda_streams(device: torch.device, count: int) -> tuple[cuda.Stream, ...]:
    """Return `count` streams of `device`. Every call returns the same ones."""
    return tuple(cuda.Stream(device) for _ in range(count))


class ParallelPass(Pass):
    """A cut pass whose forward switches to another CUDA stream after each block. The head runs on the caller's stream.

    Each stream waits for the previous one, so the forward stays sequential. Autograd runs the backward of an operation
    on the stream of its forward, and streams wait for each other only where a gradient crosses between them. So the
    backward of a block, including its signal, waits only for the error.
    """

    # Example: 3 blocks on 2 streams.  forward: block 1 on s0, block 2 on s1, block 3 on s0, head on the caller's stream
    #   backward: head on the caller's stream -> e (N, n_out); then block 2 on s1 beside blocks 3 and 1 on s0

    def __init__(self, cut_pass: CutPass, streams: tuple[cuda.Stream, ...], blocks: int) -> None:
        self.cut_pass, self.cuda_streams, self.blocks = cut_pass, streams, blocks
        self.device = streams[0].device
        cut_pass.fused_bytes = 0  # the join would compute a fused signal on the caller's stream
        self.cuts = cut_pass.cuts
        self.used: list[cuda.Stream] = []

    @contextmanager
    def around(self) -> Iterator[None]:
        """Start on the first block's stream and end on the caller's, also after an error."""
        with cuda.device(self.device), self.cut_pass.around():
            self._caller, self._cuts = cuda.current_stream(self.device), 0
            self._switch_to(self.cuda_streams[0])
            try:
                yield
            finally:
                self._switch_to(self._caller)

    def cut(self, block: Block, output: Tensor) -> Tensor:
        """Cut on the block's stream, then switch to the next stream."""
        seen = self.cut_pass.cut(block, output)
        self._cuts += 1
        last = self._cuts == self.blocks
        self._switch_to(self._caller if last else self.cuda_streams[self._cuts % len(self.cuda_streams)])
        return seen

    def join(self, logits: Tensor) -> Tensor:
        """Join on the caller's stream, even if the model skipped a block."""
        self._switch_to(self._caller)
        return self.cut_pass.join(logits)

    def again(self) -> Pass:
        """The cut pass's own. Autograd is already on the right stream when it repeats part of the forward."""
        return self.cut_pass.again()

    def join_streams(self) -> None:
        """Make the current stream wait for all work on the blocks' streams."""
        for stream in self.used:
            cuda.current_stream(self.device).wait_stream(stream)

    def _switch_to(self, stream: cuda.Stream) -> None:
        before = cuda.current_stream(self.device)
        if stream == before:
            return
        stream.wait_stream(before)
        cuda.set_stream(stream)
        if stream != self._caller and stream not in self.used:
            self.used.append(stream)
