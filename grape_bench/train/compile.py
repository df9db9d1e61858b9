"""The time that torch.compile takes, told apart from the training's."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from grape_bench.train.observer import Observer

if TYPE_CHECKING:
    from torch import Tensor

    from grape_bench.train.loop import Trainer


class CompileTime(Observer):
    """`seconds` of each process's first step, in which the compiler works; the training's clock is paused for it."""

    def __init__(self) -> None:
        self.seconds = self._since = 0.0
        self._began = False
        self._step: ExitStack | None = None

    def step_begins(self, trainer: Trainer, inputs: Tensor, labels: Tensor) -> None:
        """Stop the clock once."""
        if not self._began:
            self._began = True
            self._step, self._since = ExitStack(), time.perf_counter()
            self._step.enter_context(trainer.clock.paused())

    def step_done(self, trainer: Trainer) -> None:
        """Let it go on."""
        if self._step is not None:
            self._step.close()  # it has waited for the device
            self._step = None
            self.seconds += time.perf_counter() - self._since

    def state(self) -> dict[str, Any]:
        """The seconds so far."""
        return {"seconds": self.seconds}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on counting."""
        self.seconds = state["seconds"]
