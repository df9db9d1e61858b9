"""The DFA family: the output error is sent straight to every block."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from grape_bench.network.block import Block
from grape_bench.network.cut import CutPass
from grape_bench.network.passes import Pass
from grape_bench.rules.base import LearningRule
from grape_bench.rules.feedback import DENSE_LIMIT, Layout, choose_layout, draw_feedback

if TYPE_CHECKING:
    from grape_bench.network.network import Credit, Network
    from grape_bench.network.trace import Batch

FEEDBACK = "feedback"


class DirectFeedback(LearningRule):
    """Base class: `signal` says what stands for dL/dh_l; exact gradients inside blocks, nothing between them.

    Each block has a random B_l (n_out x features), rows of norm one, from the feedback stream.
    """

    weight_transport: ClassVar[bool] = False

    def bp_fraction(self, batches: int, epochs: int) -> float:
        """No block waits for another's result."""
        return 0.0

    def setup(self, network: Network) -> None:
        """Draw B_l for every block, on its device."""
        self._layouts: dict[str, Layout] = {}
        # So that all of the feedback is not larger than the network itself.
        weights = sum(parameter.numel() for parameter in network.model.parameters())
        limit = max(DENSE_LIMIT, weights // len(network.blocks))
        if network.sequences:  # a number per position would fit one length only
            limit = 0
        for block in network.blocks:
            layout = choose_layout(block.shape, network.output_shape, limit)
            self._layouts[block.name] = layout
            drawn = draw_feedback(layout.outputs(network.output_shape), layout.features, network.generator("feedback"))
            block.store(FEEDBACK, drawn.to(network.device, torch.promote_types(network.dtype, torch.float32)))

    def signal(self, block: Block, error: Tensor) -> Tensor:
        """What stands for dL/dh_l, shaped like `block.output` (N, *shape); `error` is dL/dy_hat (N, ..., n_out)."""
        return self.project(error, block)

    def project(self, error: Tensor, block: Block) -> Tensor:
        """B_l^T e, shaped like `block.output`."""
        layout, feedback = self._layouts[block.name], block.load(FEEDBACK)
        return layout.spread(layout.rows(error).to(feedback.dtype) @ feedback, block.output_shape)

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """A pass cut at every block."""
        return CutPass(self.signal)

    def credit(self, network: Network) -> dict[str, Credit]:
        """The rule's below the last cut, exact above."""
        return network.credit("rule", "above the cuts")
