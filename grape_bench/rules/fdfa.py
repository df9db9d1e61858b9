"""Forward direct feedback alignment: B_l averages forward-mode estimates of the Jacobian (Bacho and Chu 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor
from typing_extensions import override

from grape_bench.network.block import Block
from grape_bench.network.passes import CutPass, Pass
from grape_bench.rules.jacobian import Sampling, estimate_jacobians
from grape_bench.rules.learned_feedback import LearnedFeedback

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.trace import Batch


class FDFA(LearnedFeedback):
    """DFA whose B_l has the gradient B_l - J^_l. J^_l is the mean over the batch of d p^T.

    p ~ N(0, I) perturbs all blocks at once, and d is the tangent of the output (Bacho and Chu 2024, algorithm 1). B_l
    starts at zero. Under SGD, B_l is a running average of J^_l with weight `feedback_lr`. The authors train it with
    Adam, at the learning rate of the weights. In contrast, GrAPE only turns B_l toward J^_l and keeps its norm.
    """

    @override
    def initial(self, drawn: Tensor) -> Tensor:
        """Zero, as in the authors' code."""
        return drawn.new_zeros(drawn.shape)

    @override
    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a cut pass. A training forward estimates the Jacobians first."""
        self._jacobians: dict[str, Tensor] = {}
        forward = None
        if network.advances:
            layouts = {name: feedback.layout for name, feedback in self._maps.items()}
            estimates = estimate_jacobians(network, batch, layouts, Sampling(estimator="joint"))
            self._jacobians = {name: estimate.matrix.detach() for name, estimate in estimates.items()}
            forward = estimates.forward
        return CutPass(self._sent, forward)

    @override
    def learn(self, block: Block, signal: Tensor, feedback: Tensor) -> Tensor:
        """||B_l||^2 / 2 - B_l . J^_l, once per step, because all calls of a block share one estimate."""
        jacobian = self._jacobians.pop(block.name, None)
        if jacobian is None:
            return 0 * feedback.sum()
        descended = feedback.square().sum() / 2 - (feedback * jacobian.to(feedback.dtype)).sum()
        return descended * block.loss_scale
