"""Error broadcast and decorrelation (Erdogan, Pehlevan and Erdogan 2025, eq. 4 to 7): dL/dh_l := R_l e."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from grape_bench.errors import DoesNotApplyError
from grape_bench.network.block import Block
from grape_bench.network.passes import CutPass, Pass
from grape_bench.network.rule import Kept, LearningRule
from grape_bench.rules.feedback import all_finite

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.reach import Credit
    from grape_bench.network.trace import Batch

CORRELATION = "correlation"


class EBD(LearningRule):
    """R_l is a running mean of h_l e^T, and the signal is R_l e.

    The error of an optimal estimator is uncorrelated with every activation. The gradient of ||R_l||^2 with respect to
    the activations is R_l e, so the rule decorrelates them from the error. `memory` is the weight of the past in R_l,
    the paper's lambda. R_l starts as Gaussian noise with standard deviation `start`. `rate` scales the signal. The
    paper's power and entropy regularizers and its projection of activations onto the output are left out.
    """

    weight_transport: ClassVar[bool] = False

    def __init__(self, memory: float = 0.99999, start: float = 0.01, rate: float = 1.0) -> None:
        if not 0 <= memory <= 1 or start < 0:
            raise ValueError("memory is in [0, 1], and start is at least 0")
        self.memory, self.start, self.rate = memory, start, rate

    @override
    def setup(self, network: Network) -> None:
        """Draw R_l (features, outputs)."""
        if network.sequences:
            raise DoesNotApplyError("R_l has a row for each unit, and this network's sequences have any number of them")
        for block in network.blocks:
            drawn = torch.randn(block.size, network.output_shape[-1], generator=network.generator("feedback"))
            block.store(CORRELATION, self.start * drawn)

    @override
    def bp_fraction(self, batches: int, epochs: float) -> float:
        """Zero: no block waits for another block."""
        return 0.0

    @override
    def credit(self, network: Network) -> dict[str, Credit]:
        """The rule's gradients below the last cut, exact gradients above it."""
        return network.credit("rule", "above the cuts")

    @override
    def kept_feedback(self, network: Network) -> dict[str, Kept]:
        """R_l of each block."""
        found = {block.name: block.load(CORRELATION) for block in network.blocks}
        return {name: Kept("dense", tuple(one.shape), one.numel()) for name, one in found.items()}

    @override
    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Cut at every block."""
        return CutPass(self.signal)

    def signal(self, block: Block, error: Tensor) -> Tensor:
        """Update R_l, then return R_l e, shaped like `block.output`. Errors at several positions are summed."""
        error = error.reshape(len(error), -1, error.shape[-1]).sum(1)
        correlation = block.load(CORRELATION)
        # The error of a mean loss is 1/N of a sample's error, so this product is already a mean over the batch.
        now = block.output.flatten(1).to(correlation.dtype).T @ (error / block.loss_scale).to(correlation.dtype)
        moved = correlation.lerp(now, 1 - self.memory)
        correlation.copy_(torch.where(all_finite(moved), moved, correlation))
        return (self.rate * error @ correlation.T.to(error.dtype)).view_as(block.output)
