"""What happens at each block and at the output during one forward, and in its backward."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

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
