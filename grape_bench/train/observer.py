"""Who follows a training: the curve, checkpoints, diagnostics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from grape_bench.train.loop import Trainer


class Observer:
    """Is told how a training goes, and changes nothing of it; each method does nothing unless overridden.

    Observers are told in their order in `trainer.observers`; `trainer.position` says how much is done. `step_begins`
    and `step_done` are called while the clock runs, so that a step need not wait for the device: work that takes
    time belongs in `with trainer.clock.paused()`. After a step and after an epoch `trainer.state_dict()` is whole.
    """

    def training_begins(self, trainer: Trainer) -> None:
        """Once in each process, before its first step; a resumed training does not stand at the beginning."""

    def epoch_begins(self, trainer: Trainer) -> None:
        """Before an epoch's first step."""

    def step_begins(self, trainer: Trainer, inputs: Tensor, labels: Tensor) -> None:
        """Before the forward on this batch."""

    def step_done(self, trainer: Trainer) -> None:
        """After the optimizer's step."""

    def epoch_ends(self, trainer: Trainer) -> None:
        """After an epoch and its validation, whose numbers are `trainer.rows[-1]`; the clock stands still."""

    def state(self) -> dict[str, Any]:
        """What it needs to go on after an interruption: numbers, strings, tensors and containers of them."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned before the interruption."""
