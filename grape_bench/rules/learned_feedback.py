"""Direct feedback trained by the optimizer: B_l is a parameter of the rule, with its own gradient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from grape_bench.errors import UserError
from grape_bench.network.block import Block
from grape_bench.network.rule import Kept
from grape_bench.rules.allocate import FeedbackKind
from grape_bench.rules.direct import DirectFeedback
from grape_bench.rules.feedback import FEEDBACK
from grape_bench.rules.hardware import Hardware
from grape_bench.rules.pull_back import PullBack

if TYPE_CHECKING:
    from grape_bench.network.network import Network


class LearnedFeedback(DirectFeedback):
    """Base class of DFA with a learned B_l. The optimizer minimizes `learn`.

    B_l (n_out x features) belongs to the rule. The optimizer trains it along with the model's weights, with the weight
    decay `feedback_decay` and, if it is set, the learning rate `feedback_lr`.
    """

    def __init__(
        self,
        feedback_lr: float | None = None,
        feedback_decay: float = 0.0,
        feedback: FeedbackKind = "auto",
        pull_back: PullBack = "none",
    ) -> None:
        if feedback in ("slice", "seeded"):
            raise ValueError(f"feedback = {feedback!r} cannot learn: its matrix is shared by blocks or not stored")
        super().__init__(feedback, pull_back)
        self.feedback_lr, self.feedback_decay = feedback_lr, feedback_decay

    @override
    def setup(self, network: Network) -> None:
        """Draw B_l as DFA does, and register it as a parameter for the optimizer."""
        if self.hardware != Hardware():
            raise UserError("the limits of a device need a B that the optimizer does not train", hint="dfa or grape")
        super().setup(network)
        settings: dict[str, Any] = {"weight_decay": self.feedback_decay}
        settings |= {} if self.feedback_lr is None else {"lr": self.feedback_lr}
        for block in network.blocks:
            drawn = self.initial(block.load(FEEDBACK))
            block.own(_Matrix(drawn), FEEDBACK, **settings)
            block.store(FEEDBACK, drawn.new_zeros(0))  # the parameter replaces it
            self._maps[block.name] = replace(self._maps[block.name], matrix=_Owned(block))

    def initial(self, drawn: Tensor) -> Tensor:
        """The initial B_l, given DFA's B_l."""
        return drawn

    def learn(self, block: Block, signal: Tensor, feedback: Tensor) -> Tensor:
        """The objective of B_l: a scalar with a graph to the parameter `feedback`, or to `signal` = B_l^T e.

        The error contains the loss scale, so this scalar has the factor `block.loss_scale`.
        """
        raise NotImplementedError

    @override
    def signal(self, block: Block, error: Tensor) -> Tensor:
        """B_l^T e, with the B_l of this step. Also accumulates the gradient of B_l."""
        with torch.enable_grad():
            signal = self.project(error.detach(), block)
            self.learn(block, signal, _matrix(block)).backward()
        return signal.detach()

    @override
    def kept_feedback(self, network: Network) -> dict[str, Kept]:
        """How the feedback of each block is stored."""
        return {
            name: replace(kept, numbers=_matrix(self._maps[name].block).numel())
            for name, kept in super().kept_feedback(network).items()
        }


class _Matrix(nn.Module):
    """Holds B_l as a parameter."""

    def __init__(self, drawn: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(drawn.clone())


def _matrix(block: Block) -> Tensor:
    weight = block.owned(FEEDBACK).weight
    assert isinstance(weight, Tensor)
    return weight


@dataclass(frozen=True)
class _Owned:
    """B_l is a parameter that the rule owns."""

    block: Block

    def back(self, rows: Tensor) -> Tensor:
        """Multiply by the parameter."""
        feedback = _matrix(self.block)
        return rows.to(feedback.dtype) @ feedback
