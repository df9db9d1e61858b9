"""Direct random target projection (Frenkel, Lefebvre and Bol 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import Tensor

from grape_bench.network.block import Block
from grape_bench.rules.direct import DirectFeedback
from grape_bench.rules.target import Target, TargetPass

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.passes import Pass
    from grape_bench.network.trace import Batch


class DRTP(DirectFeedback):
    """dL/dh_l := -s B_l^T y*. The one-hot target y* replaces the error, and s is the sample's weight in the loss.

    The signal does not depend on later blocks, so a block could learn as soon as its output exists. This implementation
    reads the target from the error (see `read_target`), so it works with any loss and trainer.
    """

    targets: Literal["any", "classes"] = "classes"

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a pass that cuts at every block. It passes -s y* to `signal` as the error."""
        return TargetPass(self._from_target)

    def _from_target(self, block: Block, target: Target) -> Tensor:
        return self._sent(block, -target.scale * target.one_hot)
