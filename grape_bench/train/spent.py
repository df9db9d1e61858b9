"""How long a training took, in all the processes that it was spread over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from grape_bench.train.observer import Observer

if TYPE_CHECKING:
    from grape_bench.train.loop import Trainer


class Spent(Observer):
    """Counts from its creation; of a process that was killed, the time up to its last checkpoint."""

    def __init__(self) -> None:
        self.resumed = 0  # how often
        self.setup = self._earlier = 0.0
        self._start = time.perf_counter()

    def total(self) -> float:
        """Seconds until now."""
        return self._earlier + time.perf_counter() - self._start

    def training_begins(self, trainer: Trainer) -> None:
        """What came before was set-up."""
        self.setup += time.perf_counter() - self._start

    def state(self) -> dict[str, Any]:
        """What is to be added to a later process's."""
        return {"resumed": self.resumed, "setup": self.setup, "total": self.total()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on after another process."""
        self.resumed, self.setup, self._earlier = state["resumed"] + 1, state["setup"], state["total"]
