"""Direct random target projection (Frenkel, Lefebvre and Bol 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from grape_bench.network.block import Block
from grape_bench.rules.direct import DirectFeedback
from grape_bench.rules.target import Target, TargetPass

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.passes import Pass
    from grape_bench.network.trace import Batch


class DRTP(DirectFeedback):
    """dL/dh_l := -s B_l^T y*: the one-hot target y* in place of the error, s its weight in the loss.

    So a block could learn as soon as its output is there: nothing of what the network makes of it is needed. Here
    the target is read from the error that arrives (see `read_target`), and any loss and trainer will do.
    """

    @property
    def at_scores(self) -> bool:
        """Targets are classes."""
        return True

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """A pass cut at every block, whose `signal` gets -s y* as its error."""
        return TargetPass(self._from_target)

    def _from_target(self, block: Block, target: Target) -> Tensor:
        return self._sent(block, -target.scale * target.one_hot)
