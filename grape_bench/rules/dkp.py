"""Direct Kolen-Pollack: B_l learns like a weight between the block and the output (Webster et al. 2021)."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import override

from grape_bench.network.block import Block
from grape_bench.rules.learned_feedback import LearnedFeedback


class DKP(LearnedFeedback):
    """DFA whose B_l has the gradient e h_l^T, summed over the batch (Webster, Choi and Ahn 2021).

    This is the gradient of a matrix that maps h_l directly to the output. If weights and feedback have the same weight
    decay (`feedback_decay`), B_l follows the product of the weights above block l.
    """

    @override
    def learn(self, block: Block, signal: Tensor, feedback: Tensor) -> Tensor:
        """h_l . B_l^T e, whose gradient with respect to B_l is e h_l^T."""
        return (signal * block.output.detach().to(signal.dtype)).sum()
