"""Local errors from fixed random classifiers (Mostafa, Ramesh and Cauwenberghs 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from grape_bench.network.block import Block
from grape_bench.network.rule import Kept
from grape_bench.rules.allocate import FeedbackKind, allocate, check_kind
from grape_bench.rules.feedback import FeedbackMap
from grape_bench.rules.local_loss import LocalLoss

if TYPE_CHECKING:
    from grape_bench.network.network import Network


class Local(LocalLoss):
    """The loss of each block is the cross-entropy of the scores B_l h_l of a fixed random classifier.

    So dL_l/dh_l = B_l^T (softmax(B_l h_l) - y*). B_l is drawn and stored as in `DirectFeedback` (`feedback`).
    """

    def __init__(self, feedback: FeedbackKind = "auto") -> None:
        check_kind(feedback)
        self.feedback = feedback

    def setup(self, network: Network) -> None:
        """Draw B_l for every block, on its device."""
        super().setup(network)
        self._maps: dict[str, FeedbackMap] = allocate(network, self.feedback)

    def kept_feedback(self, network: Network) -> dict[str, Kept]:
        """How each block's classifier is stored. Empty for a rule that overrides `setup` without calling this one."""
        maps: dict[str, FeedbackMap] = getattr(self, "_maps", {})
        return {name: feedback.kept for name, feedback in maps.items()}

    def loss(self, block: Block, output: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy of the scores, summed over samples."""
        scores = self._maps[block.name].scores(output, target.shape)
        return -(target * F.log_softmax(scores, -1)).sum()
