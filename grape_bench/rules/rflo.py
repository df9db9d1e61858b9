"""Random feedback local online learning: dW_ab := sum_t (B^T e_t)_a p_ab^t with a leaky trace p_ab^t (Murray 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor
from typing_extensions import override

from grape_bench.network.block import Block
from grape_bench.network.steps import Carry, Units
from grape_bench.rules.readout import read_of, step_errors
from grape_bench.rules.step_feedback import StepFeedback

if TYPE_CHECKING:
    from grape_bench.network.network import Network


class RFLO(StepFeedback):
    """p_ab^t = (1 - a) p_ab^{t-1} + a f'(u_a^t) h_b^{t-1}, for h^t = (1 - a) h^{t-1} + a f(u^t).

    The trace is the gradient along the leak of a unit. No gradient passes through recurrent weights. e_t is the error
    of the readout at step t, and B is fixed and random. Autograd computes the same sum in reverse.
    """

    carry: ClassVar[Carry] = "own"
    kinds: ClassVar[dict[Units, str]] = {"leaky": "leaky rate units"}

    @override
    def setup(self, network: Network) -> None:
        """Draw B_l."""
        super().setup(network)
        self._read = read_of(network)

    @override
    def errors(self, block: Block, error: Tensor) -> Tensor:
        """The error of the readout at each step."""
        return step_errors(self._read, block, error)
