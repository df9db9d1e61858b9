"""Train until the validation score stops improving."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from typing_extensions import override

from grape_bench.train.best import BestWeights
from grape_bench.train.loop import Observer, Trainer

FACTOR, PATIENCE = 0.3, 3


class Plateau(Observer):
    """Lowers the learning rate after an evaluation without a new best score. Ends training after three in a row.

    Place it after `best` in the observers, which keeps the weights to restore.
    """

    def __init__(self, best: BestWeights) -> None:
        self.best = best
        self._since = 0

    @override
    def evaluated(self, trainer: Trainer) -> None:
        if self.best.row is trainer.rows[-1]:
            self._since = 0
            return
        self._since += 1
        for group in trainer.optimizer.param_groups:
            group["lr"] *= FACTOR
        if self._since == PATIENCE:
            trainer.budget = replace(trainer.budget, steps=trainer.total_steps)

    @override
    def state(self) -> dict[str, Any]:
        return {"since": self._since}

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        self._since = state["since"]
