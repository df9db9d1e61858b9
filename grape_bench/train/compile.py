"""The time that torch.compile takes, told apart from the training's."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from grape_bench.train.observer import Observer

if TYPE_CHECKING:
    from torch import Tensor

    from grape_bench.train.loop import Trainer


class CompileTime(Observer):
    """`seconds` of this process's first step, in which the compiler works; the training's clock is paused for it."""

    def __init__(self) -> None:
        self.seconds = self._since = 0.0
        self._step: ExitStack | None = None

    def step_begins(self, trainer: Trainer, inputs: Tensor, labels: Tensor) -> None:
        """Stop the clock once."""
        if not self.seconds:
            self._step, self._since = ExitStack(), time.perf_counter()
            self._step.enter_context(trainer.clock.paused())

    def step_done(self, trainer: Trainer) -> None:
        """Let it go on."""
        if self._step is not None:
            self._step.close()  # it has waited for the device
            self._step, self.seconds = None, time.perf_counter() - self._since
