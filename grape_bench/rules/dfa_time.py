"""Direct feedback alignment in time: dL/dh_{l,t} := B_l^T e at every step t (after Nøkland 2016; Han et al. 2020)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor
from typing_extensions import override

from grape_bench.errors import DoesNotApplyError
from grape_bench.network.block import Block
from grape_bench.network.steps import Carry, Units
from grape_bench.rules.step_feedback import StepFeedback

if TYPE_CHECKING:
    from grape_bench.network.network import Network


class DFATime(StepFeedback):
    """DFA that also cuts between time steps, so that all steps can run their backward independently.

    Every step gets the error of the whole sequence, divided by the square root of the number of steps. If the error has
    one entry per step, each step gets its own.
    """

    carry: ClassVar[Carry] = "nothing"
    kinds: ClassVar[dict[Units, str]] = {
        "leaky": "leaky rate units",
        "spiking": "spiking neurons",
        "lstm": "LSTMs",
        "gru": "GRUs",
        "rnn": "RNNs",
    }

    @override
    def setup(self, network: Network) -> None:
        """Draw B_l. Raises DoesNotApplyError if the positions of the error are not the steps."""
        super().setup(network)
        positions = network.output_shape[:-1]
        if positions and any(positions != block.shape[:-1] for block in network.blocks):
            raise DoesNotApplyError("the network's errors have other positions than the steps of its blocks")

    @override
    def errors(self, block: Block, error: Tensor) -> Tensor:
        """The error at each step: that of the whole sequence, or the step's own."""
        if error.dim() > 2:
            return error
        steps = block.output_shape[1]
        return (error / math.sqrt(steps))[:, None].expand(-1, steps, -1)
