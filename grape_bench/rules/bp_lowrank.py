"""Backpropagation through random sketches: an unbiased projection of each signal (Oktay et al. 2021)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from typing_extensions import override

from grape_bench.network.block import Block
from grape_bench.network.passes import Pass
from grape_bench.network.rule import LearningRule

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.reach import Credit
    from grape_bench.network.trace import Batch


class BPLowRank(LearningRule):
    """dL/dh_l := (C / r) Q Q^T g at every block, where g is the gradient from above. Everything else is BP.

    Q (C x r) has r random orthonormal columns, drawn in each step for each block. C is the number of channels, and r =
    `share` C, rounded up. All samples and positions share Q. E[Q Q^T] = (r / C) I, so the signal is unbiased. Its noise
    grows with each block that it passes, by up to C / r.
    """

    # Example: signal g (N, 64), share = 0.5: Q (64, 32), the rule sends 2 (g Q) Q^T (N, 64), which has rank 32

    def __init__(self, share: float = 0.5) -> None:
        if not 0 < share <= 1:
            raise ValueError("share must be in (0, 1]")
        self.share = share

    @override
    def credit(self, network: Network) -> dict[str, Credit]:
        """The rule's gradients below the last cut, exact gradients above it."""
        return network.credit("rule", "above the cuts")

    @override
    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a pass that projects the signal of each block."""
        return _Sketched(self)

    def sketched(self, block: Block, signal: Tensor) -> Tensor:
        """The projection of `signal` (N, *shape)."""
        axis = block.channel_axis + 1
        channels = signal.shape[axis]
        rank = -int(-self.share * channels // 1)
        dtype = torch.promote_types(signal.dtype, torch.float32)
        drawn = torch.randn(
            channels,
            rank,
            generator=block.home.generator("perturbation", block.device),
            device=signal.device,
            dtype=dtype,
        )
        basis: Tensor = torch.linalg.qr(drawn).Q
        projected = channels / rank * (signal.movedim(axis, -1).to(dtype) @ basis) @ basis.T
        return projected.movedim(-1, axis).to(signal.dtype)


class _Sketched(Pass):
    def __init__(self, rule: BPLowRank) -> None:
        self.rule = rule

    @override
    def cut(self, block: Block, output: Tensor) -> Tensor:
        """Return the output unchanged. The backward projects its gradient."""
        if output.requires_grad:
            output.register_hook(partial(self.rule.sketched, block))
        return output
