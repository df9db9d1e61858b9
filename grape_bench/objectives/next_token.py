"""The next token of a text, at every position."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from grape_bench.errors import UserError
from grape_bench.objectives.classification import Smoothing, class_count, class_counts
from grape_bench.objectives.objective import Objective, Sums, mean_error
from grape_bench.objectives.target import IGNORED, TargetData


class NextToken(Objective):
    """Cross-entropy of logits (N, length, vocabulary) with token ids (N, length), scored by perplexity.

    The data set has already shifted the targets by one position. Logits may be flat, (N * length, vocabulary).
    `bits_per_character` is the loss in bits, for data whose tokens are characters.
    """

    targets: ClassVar[Literal["classes", "values"]] = "classes"
    axis: ClassVar[int | None] = -1

    def __init__(
        self,
        metric: Literal["perplexity", "bits_per_character"] = "perplexity",
        label_smoothing: Smoothing = 0.0,
    ) -> None:
        self.metric, self.label_smoothing = metric, label_smoothing

    @override
    def outputs(self, data: TargetData) -> int:
        if self.metric == "bits_per_character" and data.target.unit != "character":
            raise UserError(
                f"bits_per_character needs tokens that are characters, not {data.target.unit}s",
                where="objective_args",
                hint='metric = "perplexity"',
            )
        return class_count(data, type(self).__name__)

    @override
    def check(self, output: Tensor, target: Tensor) -> None:
        if output.dim() < 2 or output.shape[-1] != self.size or output.numel() != target.numel() * self.size:
            raise self.misfit(output, tuple(target.shape[1:]))

    @override
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            output.reshape(-1, self.size), target.flatten(), ignore_index=IGNORED, label_smoothing=self.label_smoothing
        )

    @override
    def tally(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        scored = target.flatten() != IGNORED
        nats = F.cross_entropy(
            output.reshape(-1, self.size), target.flatten(), ignore_index=IGNORED, reduction="none"
        ).double()
        return {"count": scored.sum(), "nats": nats.sum(), "squares": nats.square().sum()}

    @override
    def value(self, sums: Sums) -> float | Tensor:
        return self._of(sums["nats"] / sums["count"])

    @override
    def error(self, sums: Sums) -> float | Tensor:
        nats = mean_error(sums["nats"], sums["squares"], sums["count"])
        return nats / math.log(2) if self.metric == "bits_per_character" else nats

    @override
    def chance(self, data: TargetData) -> float:
        counts = class_counts(data)
        shares = counts[counts > 0] / counts.sum()
        return float(self._of(-(shares * shares.log()).sum()))

    def _of(self, nats: Tensor) -> Tensor:
        """Convert a mean loss in nats to the metric."""
        return nats / math.log(2) if self.metric == "bits_per_character" else torch.exp(nats)
