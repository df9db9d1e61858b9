"""The DFA family: the output error is sent straight to every block."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, get_args

from torch import Tensor

from grape_bench.network.block import Block
from grape_bench.network.passes import CutPass, Pass
from grape_bench.network.rule import Kept, LearningRule
from grape_bench.rules.allocate import FeedbackKind, allocate, check_kind
from grape_bench.rules.feedback import FeedbackMap, Seeded
from grape_bench.rules.hardware import Hardware
from grape_bench.rules.pull_back import PullBack, through_layernorm

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.reach import Credit
    from grape_bench.network.trace import Batch


class DirectFeedback(LearningRule):
    """Base class. `signal` replaces dL/dh_l. Gradients inside a block are exact, and no gradient crosses a cut.

    Each block has a random B_l (n_out x features) with rows of norm one, drawn from the "feedback" stream. `feedback`
    sets how B_l is stored. `"auto"` chooses by size (see `Chooser.choose`). Raises UserError if a kind does not suit a
    block. `pull_back="layernorm"` sends each signal through the backward of a LayerNorm of the block's output.
    `hardware` describes the limits of the device that holds B_l.
    """

    weight_transport: ClassVar[bool] = False
    feedback: FeedbackKind = "auto"  # defaults for subclasses whose __init__ does not call super().__init__
    pull_back: PullBack = "none"
    hardware: Hardware = Hardware()  # `make_rule` sets it from the settings with the names of its fields

    def __init__(self, feedback: FeedbackKind = "auto", pull_back: PullBack = "none") -> None:
        check_kind(feedback)
        if pull_back not in get_args(PullBack):
            raise ValueError(f"pull_back = {pull_back!r} is not one of {', '.join(get_args(PullBack))}")
        self.feedback, self.pull_back = feedback, pull_back

    def bp_fraction(self, batches: int, epochs: float) -> float:
        """Zero: no block waits for another block."""
        return 0.0

    def setup(self, network: Network) -> None:
        """Draw B_l for every block, on its device."""
        self._maps: dict[str, FeedbackMap] = self.hardware.install(network, allocate(network, self.feedback))
        self._projected: set[str] = set()  # blocks that used their B_l; plain data, so a resume restores it

    def kept_feedback(self, network: Network) -> dict[str, Kept]:
        """How the feedback of each block is stored. After the first step, only the feedback that the rule has used.

        Empty if a subclass overrides `setup` without calling this one, and draws its own feedback.
        """
        maps: dict[str, FeedbackMap] = getattr(self, "_maps", {})
        return {name: kept.kept for name, kept in maps.items() if not network.counts.steps or name in self._projected}

    @property
    def unreplayable(self) -> str:
        """The reason if the feedback is seeded: it is drawn on the CPU in every step."""
        seeded = any(isinstance(feedback.matrix, Seeded) for feedback in getattr(self, "_maps", {}).values())
        return "its feedback is drawn on the CPU in every step" if seeded else ""

    def signal(self, block: Block, error: Tensor) -> Tensor:
        """The replacement of dL/dh_l, shaped like `block.output` (N, *shape). `error` is dL/dy_hat (N, ..., n_out)."""
        return self.project(error, block)

    def project(self, error: Tensor, block: Block) -> Tensor:
        """B_l^T e, shaped like `block.output`."""
        self._projected.add(block.name)
        return self._maps[block.name].project(error, block.output_shape)

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a pass that cuts at every block."""
        return CutPass(self._sent)

    def _sent(self, block: Block, error: Tensor) -> Tensor:
        signal = self.signal(block, error)
        if self.pull_back == "none":
            return signal
        return through_layernorm(signal, block.output, block.channel_axis + 1)

    def credit(self, network: Network) -> dict[str, Credit]:
        """The rule's gradients below the last cut, exact gradients above it."""
        return network.credit("rule", "above the cuts")
