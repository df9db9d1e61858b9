"""Diagnostics that observe a training without changing it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from grape_bench.cost.memory import PeakMemory
from grape_bench.diagnose.probe import Probe, merged
from grape_bench.diagnose.reading import Values
from grape_bench.errors import described, log_error
from grape_bench.network.trace import Batch
from grape_bench.record.table import HIDDEN, NETWORK
from grape_bench.train.loop import Observer, Trainer


class Diagnostics(Observer):
    """Computes every metric at `count` moments (see `moments`). `rows` are the rows of diagnostics.csv.

    The clock, the peak of `memory`, random generators, rule, optimizer and model do not change. If a metric fails, only
    its values are missing. If a pass fails, the diagnostics stop and training continues. `failed` holds the reasons by
    what failed. The tracebacks go to stderr.
    """

    def __init__(self, count: int | None = None, memory: PeakMemory | None = None) -> None:
        self.count, self.memory = count, memory
        self.rows: list[Row] = []
        self.seconds = 0.0
        self.failed: dict[str, str] = {}
        self._ended = False
        self._steps: list[int] = []
        self._sums = {row: RunningSum() for row in (HIDDEN, NETWORK)}

    def training_begins(self, trainer: Trainer) -> None:
        """Choose the moments."""
        self._steps = moments(trainer.budget.steps, self.count)

    def step_begins(self, trainer: Trainer, batch: Batch, target: Tensor) -> None:
        """Measure before the first step, if that is one of the moments."""
        if self._done(trainer) == 0 and 0 in self._steps:
            self._take(trainer)

    def step_done(self, trainer: Trainer) -> None:
        """Measure after this step, if that is one of the moments."""
        if self._done(trainer) in self._steps:
            self._take(trainer)

    def state(self) -> dict[str, Any]:
        """The rows and sums so far."""
        sums = {name: running.state() for name, running in self._sums.items()}
        failed = {"failed": dict(self.failed), "ended": self._ended}
        return {"rows": list(self.rows), "seconds": self.seconds, "sums": sums, **failed}

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from `state`."""
        self.rows, self.seconds = list(state["rows"]), state["seconds"]
        self.failed, self._ended = dict(state["failed"]), state["ended"]
        self._sums = {name: RunningSum(**sums) for name, sums in state["sums"].items()}

    def result(self) -> dict[str, Any]:
        """For the record: the number of moments, what failed, the summary, and the rows of diagnostics.csv."""
        taken = len({row["step"] for row in self.rows})
        failed = "; ".join(f"{name}: {reason}" for name, reason in self.failed.items())
        return {"moments": taken, "failed": failed, **summary(self.rows), "rows": self.rows}

    def _done(self, trainer: Trainer) -> int:
        return trainer.total_steps

    def _take(self, trainer: Trainer) -> None:
        if self._ended or any(row["step"] == self._done(trainer) for row in self.rows):
            return
        with trainer.clock.paused():
            start = time.perf_counter()
            with self.memory.aside() if self.memory else nullcontext():
                try:
                    self._note(trainer, self._values(trainer))
                except Exception as error:
                    log_error()
                    self.failed["probe"] = described(error)
                    self._ended = True
            self.seconds += time.perf_counter() - start

    def _values(self, trainer: Trainer) -> Values:
        probe = Probe(trainer.data.validation, trainer.loss_of)
        values = probe.take(trainer.network, trainer.optimizer)
        if self._done(trainer) == self._steps[-1]:
            values = merged([values, probe.features(trainer.network)])
        self.failed |= probe.failed
        return values

    def _note(self, trainer: Trainer, values: Values) -> None:
        step = self._done(trainer)
        for block, running in self._sums.items():
            found = values.get(block, {})
            if "gradient_cos" in found:
                found["zoutendijk"] = running.add(step, found["gradient_cos"], found["gradient_norm"])
        moment = {"step": step, "samples": trainer.position.samples}
        for block, found in values.items():
            known = {name: value for name, value in found.items() if not math.isnan(value)}
            self.rows.append({**moment, "block": block, **known})


FEW, STEPS_PER_MOMENT = 8, 50
"""Up to `FEW` moments, at most one per `STEPS_PER_MOMENT` steps: enough to draw a line."""
MOST, STEPS_PER_FURTHER = 20, 500
"""Up to `MOST` moments in a longer training. A moment costs as much as 2 to 25 steps, less for larger networks
(`python -m benchmarks.diagnostics`)."""


def moments(steps: int, count: int | None = None) -> list[int]:
    """The steps after which to measure: `count` of them, equally spaced from 0 to `steps`, including the end.

    Without a count there are at least two: the initial rule and the final one. `FEW` of them take a few seconds, and a
    training of many steps has up to `MOST`.
    """
    usual = max(2, min(FEW, steps // STEPS_PER_MOMENT), min(MOST, steps // STEPS_PER_FURTHER))
    chosen = usual if count is None else count
    if chosen < 2:
        return [steps] * chosen
    return sorted({round(index * steps / (chosen - 1)) for index in range(chosen)})


Row = dict[str, Any]
"""One line of diagnostics.csv: step, samples, block, and a column for each metric with a value."""


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """The state at the end of training. `growth` and `gain` are of the worst block, and `descent` is over all moments.

    A value that was not measured is None.
    """
    if not rows:
        return {}
    last = [row for row in rows if row["step"] == rows[-1]["step"]]
    blocks = [row for row in last if row["block"] not in (HIDDEN, NETWORK)]
    growth = max(blocks, key=lambda row: _or(row.get("growth"), -math.inf), default={})
    gain = min(blocks, key=lambda row: _or(row.get("gain"), math.inf), default={})
    hidden, network = (next((row for row in last if row["block"] == name), {}) for name in (HIDDEN, NETWORK))
    top: Row = blocks[-1] if blocks else {}
    return {
        "growth": _number(growth.get("growth")),
        "growth_block": growth.get("block"),
        "gain": _number(gain.get("gain")),
        "gain_block": gain.get("block"),
        **{name: _mean(row.get(name) for row in blocks) for name in ("signal_cos", "null_cos", "feedback_cos")},
        "weight_cos": _number(network.get("weight_cos")),
        "gradient_cos": _number(hidden.get("gradient_cos")),
        "descent": _mean(row.get("descent") for row in rows if row["block"] == HIDDEN),
        "update_descent": _mean(row.get("update_descent") for row in rows if row["block"] == HIDDEN),
        "zoutendijk": _number(network.get("zoutendijk")),
        "probe_accuracy": _number(top.get("probe_accuracy")),
        "probe_r2": _number(top.get("probe_r2")),
    }


def _or(value: float | None, default: float) -> float:
    return default if value is None or math.isnan(value) else value


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _mean(values: Iterable[float | None]) -> float | None:
    present = [value for value in values if value is not None and math.isfinite(value)]
    return sum(present) / len(present) if present else None


@dataclass
class RunningSum:
    """The sum over steps of cos^2(direction, gradient) · ||gradient||^2.

    It is bounded for a smooth loss and suitable step lengths (Zoutendijk; Nocedal and Wright 2006, theorem 3.2). If the
    cosine also stays above zero, the gradient must vanish. Otherwise the sum says nothing. Between two measured
    moments, the term is interpolated linearly.
    """

    total: float = 0.0
    step: int = 0
    term: float = math.nan

    def add(self, step: int, cosine: float, norm: float) -> float:
        """The sum up to `step`. A NaN cosine (a zero direction) adds nothing."""
        term = 0.0 if math.isnan(cosine) else (cosine * norm) ** 2
        before = term if math.isnan(self.term) else self.term
        self.total += (step - self.step) * (before + term) / 2
        self.step, self.term = step, term
        return self.total

    def state(self) -> dict[str, float]:
        """The fields, for a resume."""
        return asdict(self)
