"""E-prop: eligibility traces times learning signals, dL/dW_ji := sum_t L_j^t e_ji^t (Bellec et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from torch import Tensor, nn
from typing_extensions import override

from grape_bench.errors import DoesNotApplyError
from grape_bench.network.block import Block
from grape_bench.network.rule import Kept
from grape_bench.network.steps import Carry, Units
from grape_bench.rules.readout import read_of, step_errors
from grape_bench.rules.step_feedback import StepFeedback

if TYPE_CHECKING:
    from grape_bench.network.network import Network

Broadcast = Literal["random", "symmetric"]


class EProp(StepFeedback):
    """L^t = B^T e_t, where e_t is the error of the readout at step t. The trace e_ji^t follows the state of one unit.

    The state is the membrane potential of a spiking neuron, or the cell state of an LSTM. The gradient along it is
    exact, and no gradient passes through recurrent weights. The paper sums forward in time, and autograd computes the
    same sum in reverse. `broadcast="random"` uses a fixed random B. `"symmetric"` uses the weight of the head, and
    needs a single recurrent layer.
    """

    carry: ClassVar[Carry] = "own"
    kinds: ClassVar[dict[Units, str]] = {"spiking": "spiking neurons", "lstm": "LSTMs"}

    def __init__(self, broadcast: Broadcast = "random") -> None:
        super().__init__()
        if broadcast not in get_args(Broadcast):
            raise ValueError(f"broadcast = {broadcast!r} is not one of {', '.join(get_args(Broadcast))}")
        self.broadcast = broadcast

    @property
    def weight_transport(self) -> bool:  # type: ignore[override]
        """Whether the signals read the weight of the head."""
        return self.broadcast == "symmetric"

    @override
    def setup(self, network: Network) -> None:
        """Draw B_l, or find the head."""
        super().setup(network)
        self._read, self._head = read_of(network), getattr(network.model, "head", None)
        if self.broadcast == "symmetric" and (len(network.blocks) > 1 or not isinstance(self._head, nn.Linear)):
            raise DoesNotApplyError("symmetric feedback needs a linear head that reads every recurrent layer")

    @override
    def kept_feedback(self, network: Network) -> dict[str, Kept]:
        """How the feedback of each block is stored. Symmetric feedback is not stored."""
        return super().kept_feedback(network) if self.broadcast == "random" else {}

    @override
    def errors(self, block: Block, error: Tensor) -> Tensor:
        """The error of the readout at each step."""
        return step_errors(self._read, block, error)

    @override
    def project(self, error: Tensor, block: Block) -> Tensor:
        """The learning signal of each unit at each step, shaped like `block.output`."""
        if self.broadcast == "random":
            return super().project(error, block)
        assert isinstance(self._head, nn.Linear), "checked by `setup`"
        return self.errors(block, error) @ self._head.weight.to(error.dtype)
