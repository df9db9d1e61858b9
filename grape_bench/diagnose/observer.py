"""Diagnostics that follow a training and leave it as it is."""

from __future__ import annotations

import math
import time
import traceback
from contextlib import nullcontext
from typing import Any

from torch import Tensor

from grape_bench.diagnose.metric import HIDDEN, NETWORK, Values
from grape_bench.diagnose.probe import Probe, merged
from grape_bench.diagnose.schedule import moments
from grape_bench.diagnose.summary import Row, summary
from grape_bench.diagnose.zoutendijk import RunningSum
from grape_bench.train.loop import Trainer
from grape_bench.train.memory import PeakMemory
from grape_bench.train.observer import Observer


class Diagnostics(Observer):
    """Takes every metric at `count` moments (see `moments`); `rows` are those of diagnostics.csv.

    Clock, peak of `memory`, random generators, rule, optimizer and model are left as they are. A metric that
    fails ends the diagnostics, not the training: `failed` says how, and stderr has the trace.
    """

    def __init__(self, epochs: int, count: int | None = None, memory: PeakMemory | None = None) -> None:
        self.epochs, self.count, self.memory = epochs, count, memory
        self.rows: list[Row] = []
        self.seconds = 0.0
        self.failed = ""
        self._steps: list[int] = []
        self._sums = {row: RunningSum() for row in (HIDDEN, NETWORK)}

    def training_begins(self, trainer: Trainer) -> None:
        """Fix the moments."""
        self._steps = moments(self.epochs * trainer.steps_per_epoch, self.count)

    def step_begins(self, trainer: Trainer, inputs: Tensor, labels: Tensor) -> None:
        """The moment before any step."""
        if self._done(trainer) == 0 and 0 in self._steps:
            self._take(trainer)

    def step_done(self, trainer: Trainer) -> None:
        """Every other moment."""
        if self._done(trainer) in self._steps:
            self._take(trainer)

    def state(self) -> dict[str, Any]:
        """What has been found."""
        sums = {name: running.state() for name, running in self._sums.items()}
        return {"rows": list(self.rows), "seconds": self.seconds, "failed": self.failed, "sums": sums}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.rows, self.seconds, self.failed = list(state["rows"]), state["seconds"], state["failed"]
        self._sums = {name: RunningSum(**sums) for name, sums in state["sums"].items()}

    def result(self) -> dict[str, Any]:
        """For the record: how many moments, whether it failed, the summary, and the rows of diagnostics.csv."""
        taken = len({row["step"] for row in self.rows})
        return {"moments": taken, "failed": self.failed, **summary(self.rows), "rows": self.rows}

    def _done(self, trainer: Trainer) -> int:
        return trainer.position.epochs * trainer.steps_per_epoch + trainer.position.steps

    def _take(self, trainer: Trainer) -> None:
        if self.failed or any(row["step"] == self._done(trainer) for row in self.rows):
            return
        with trainer.clock.paused():
            start = time.perf_counter()
            with self.memory.aside() if self.memory else nullcontext():
                try:
                    self._note(trainer, self._values(trainer))
                except Exception as error:
                    traceback.print_exc()
                    self.failed = f"{type(error).__name__}: {error}".strip()
            self.seconds += time.perf_counter() - start

    def _values(self, trainer: Trainer) -> Values:
        probe = Probe(trainer.data.validation, trainer.loss_of)
        values = probe.take(trainer.network, trainer.optimizer)
        if self._done(trainer) == self._steps[-1]:
            values = merged([values, probe.features(trainer.network)])
        return values

    def _note(self, trainer: Trainer, values: Values) -> None:
        step = self._done(trainer)
        for block, running in self._sums.items():
            found = values[block]
            values[block]["zoutendijk"] = running.add(step, found["gradient_cos"], found["gradient_norm"])
        place = {"step": step, "samples": trainer.position.samples}
        for block, found in values.items():
            known = {name: value for name, value in found.items() if not math.isnan(value)}
            self.rows.append({**place, "block": block, **known})
