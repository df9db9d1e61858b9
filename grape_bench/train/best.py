"""The weights with the best validation score of a training."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor
from typing_extensions import override

from grape_bench.network.block import load_tensors, tensors_of
from grape_bench.objectives.names import metric_sign
from grape_bench.record.table import validation_column
from grape_bench.train.loop import Observer, Row, Trainer


class BestWeights(Observer):
    """Keeps a copy of the weights with the best validation score. On a tie, the first.

    The copy holds the weights that were scored. With a weight average, that is the average.
    """

    def __init__(self) -> None:
        self.row: Row | None = None
        self._tensors: dict[str, Tensor] = {}

    @override
    def evaluated(self, trainer: Trainer) -> None:
        row, name = trainer.rows[-1], trainer.objective.metric
        column, sign = validation_column(name), metric_sign(name)
        if self.row is None or math.isnan(self.row[column]) or sign * row[column] > sign * self.row[column]:
            with trainer.scored_weights():
                self._tensors = {name: tensor.clone() for name, tensor in tensors_of(trainer.network.model).items()}
            self.row = row

    def restore(self, trainer: Trainer) -> Row:
        """Load the best weights into the model, and return their row of the curve. Call it after training."""
        assert self.row is not None, "a training ends with an evaluation"
        load_tensors(trainer.network.model, self._tensors)
        trainer.average = None
        return self.row

    @override
    def state(self) -> dict[str, Any]:
        return {"row": self.row, "tensors": dict(self._tensors)}

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        self.row, self._tensors = state["row"], dict(state["tensors"])
