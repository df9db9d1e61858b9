"""Observers that measure a training: its time, its first step, its memory."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from torch import Tensor

from grape_bench.cost.memory import PeakMemory
from grape_bench.network.trace import Batch
from grape_bench.train.loop import Observer, Trainer


class Spent(Observer):
    """Wall time since its creation. A killed process counts up to its last checkpoint."""

    def __init__(self) -> None:
        self.resumed = 0  # number of resumes
        self.setup = self._earlier = 0.0
        self._start = time.perf_counter()

    def total(self) -> float:
        """Seconds so far, in all processes."""
        return self._earlier + time.perf_counter() - self._start

    def training_begins(self, trainer: Trainer) -> None:
        """Count everything before this as setup."""
        self.setup += time.perf_counter() - self._start

    def state(self) -> dict[str, Any]:
        """The time that a later process adds to its own."""
        return {"resumed": self.resumed, "setup": self.setup, "total": self.total()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue the count of an earlier process."""
        self.resumed, self.setup, self._earlier = state["resumed"] + 1, state["setup"], state["total"]


class FirstStep(Observer):
    """The `seconds` of each process's first step. The training clock is paused during it.

    The first step includes compilation and, on a GPU, setting up libraries and loading kernels. `part` is the name of
    these seconds in the record's `time`.
    """

    def __init__(self, part: str) -> None:
        self.part = part
        self.seconds = self._since = 0.0
        self._began = False
        self._step: ExitStack | None = None

    def step_begins(self, trainer: Trainer, batch: Batch, target: Tensor) -> None:
        """Pause the clock for the first step."""
        if not self._began:
            self._began = True
            self._step, self._since = ExitStack(), time.perf_counter()
            self._step.enter_context(trainer.clock.paused())

    def step_done(self, trainer: Trainer) -> None:
        """Restart the clock."""
        if self._step is not None:
            self._step.close()  # waits for the device
            self._step = None
            self.seconds += time.perf_counter() - self._since

    def state(self) -> dict[str, Any]:
        """The seconds so far."""
        return {"seconds": self.seconds}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue the count."""
        self.seconds = state["seconds"]


class TrainingMemory(PeakMemory, Observer):
    """The peak memory of training, including the peak of processes before a resume."""
