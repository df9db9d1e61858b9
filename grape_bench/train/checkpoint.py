"""Checkpoints of a training, so that a killed job can resume."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from grape_bench.network.saved_state import UnsavedStateError
from grape_bench.train import data_parallel
from grape_bench.train.checkpoint_files import CheckpointFolder, Period
from grape_bench.train.loop import Observer

if TYPE_CHECKING:
    from grape_bench.train.loop import Trainer

MOST_SHARE = 0.01  # of the training time, if the period is in seconds


class Checkpoints(Observer):
    """Writes the trainer's state every `period`. Must be the last observer, so that the others are up to date.

    If the model keeps something that cannot be saved, there are no checkpoints, and stderr says why. A killed job then
    starts from scratch.

    With a period in seconds, the next checkpoint waits until writing takes at most `MOST_SHARE` of the time. After a
    disk error, training continues without that checkpoint. With several processes, checkpoints are written only at the
    end of an epoch. Process 0 writes the shared state and the private state of each process.
    """

    def __init__(self, folder: CheckpointFolder, period: Period) -> None:
        self.folder, self.period = folder, period
        self.seconds = 0.0
        self._next = float("inf")

    def resume(self, trainer: Trainer) -> bool:
        """Load the last checkpoint into `trainer`. Returns whether there was one."""
        state = self.folder.read()
        if state is not None:
            trainer.load_state_dict(_with_own(state, state["own"][data_parallel.rank()]))
        return state is not None

    def training_begins(self, trainer: Trainer) -> None:
        """Start the period."""
        if self.period.seconds is not None:
            self._next = time.perf_counter() + self.period.seconds

    def step_done(self, trainer: Trainer) -> None:
        """Write a checkpoint if one is due."""
        if data_parallel.size() == 1 and time.perf_counter() >= self._next:
            self._write(trainer)

    def epoch_ends(self, trainer: Trainer) -> None:
        """Write a checkpoint if one is due."""
        epochs = self.period.epochs
        due = bool(epochs and trainer.position.epochs % epochs == 0) or time.perf_counter() >= self._next
        if data_parallel.agreed(due):
            self._write(trainer)

    def state(self) -> dict[str, Any]:
        """The seconds spent on checkpoints so far."""
        return {"seconds": self.seconds}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue the count."""
        self.seconds = state["seconds"]

    def _write(self, trainer: Trainer) -> None:
        with trainer.clock.paused():
            start = time.perf_counter()
            try:
                state = trainer.state_dict()
            except UnsavedStateError as error:
                print(f"no checkpoint, so a killed job starts from scratch: {error}", file=sys.stderr)
                self._next, self.period = float("inf"), Period()
                return
            state["own"] = data_parallel.gathered(_own(state))
            try:
                if data_parallel.rank() == 0:
                    self.folder.write(state, trainer.total_steps)
            except OSError as error:
                print(f"could not write a checkpoint: {error}", file=sys.stderr)
            cost = time.perf_counter() - start
            self.seconds += cost
        if self.period.seconds is not None:
            self._next = start + max(self.period.seconds, cost / MOST_SHARE)


def _own(state: dict[str, Any]) -> dict[str, Any]:
    """The state that differs between the processes of one training."""
    network = {name: state["network"][name] for name in ("streams", "kept")}
    return {"random": state["random"], "losses": state["losses"], "network": network}


def _with_own(state: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    network = {**state["network"], **own["network"]}
    return {**state, "network": network, "random": own["random"], "losses": own["losses"]}
