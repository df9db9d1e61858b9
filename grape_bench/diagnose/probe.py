"""Every metric at one moment of a training, always on the same samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from grape_bench.data.dataset import Example
from grape_bench.diagnose.alignment import Alignment, Null
from grape_bench.diagnose.descent import Descent
from grape_bench.diagnose.feedback import FeedbackAlignment
from grape_bench.diagnose.gradient import Gradients
from grape_bench.diagnose.growth import Growth
from grape_bench.diagnose.linear_probe import linear_probe
from grape_bench.diagnose.reading import Metric, NotMeasuredError, Values, apart, read, rule_pass
from grape_bench.diagnose.weights import WeightAlignment
from grape_bench.errors import described, log_error
from grape_bench.network.network import Network
from grape_bench.network.passes import Pass

T = TypeVar("T")
BATCHES, BATCH_SIZE = 3, 16
LINEAR_BATCHES, LINEAR_BATCH_SIZE = 4, 128


class Samples(Protocol):
    """The source of a probe's batches, such as the validation split."""

    def batches(self, batch_size: int, *, generator: torch.Generator | None = None) -> Iterator[Example]:
        """Yield batches of at most `batch_size` samples, in a random order."""


@dataclass(frozen=True)
class Probe:
    """Measures a network on fixed samples of `split`, with the loss `loss_of(output, target)`.

    The samples are loaded for each use, because otherwise they would count as training memory. `failed` collects the
    metrics without values, with the reasons. A failed metric does not affect the others. `broken` lists those that
    raised an unexpected error.
    """

    split: Samples
    loss_of: Callable[[Any, Tensor], Tensor]
    batch_size: int = BATCH_SIZE
    batches: int = BATCHES
    failed: dict[str, str] = field(default_factory=dict)
    broken: dict[str, Exception] = field(default_factory=dict)

    def take(self, network: Network, optimizer: torch.optim.Optimizer) -> Values:
        """Every metric for the current rule. Nothing in the network, the rule or the optimizer changes."""
        with apart(network) as rule:
            metrics: Sequence[Metric] = (
                Alignment(network),
                Gradients(network),
                Growth(network),
                Descent(network, optimizer),
                Null(network),
                FeedbackAlignment(network, rule),
                WeightAlignment(network, rule),
            )
            for batch, target in self._samples(self.batch_size, self.batches):
                loss_of = self._loss(target)
                true = read(network, Pass(), batch, loss_of)
                with network.informed(loss_of, target):
                    own = read(network, rule_pass(network, rule, batch), batch, loss_of)
                for metric in metrics:
                    self._try(type(metric).__name__, partial(metric.see, batch, own, true))
            return merged(self._try(type(metric).__name__, metric.values) or {} for metric in metrics)

    def _try(self, name: str, measure: Callable[[], T]) -> T | None:
        """The result of `measure`, or None if it or an earlier part of the metric `name` has failed."""
        if name in self.failed:
            return None
        try:
            return measure()
        except NotMeasuredError as reason:
            self.failed[name] = str(reason)
        except Exception as error:
            log_error()
            self.broken[name] = error
            self.failed[name] = described(error)
        return None

    def features(self, network: Network) -> Values:
        """How well a linear model on each block's output predicts the targets."""
        with apart(network):
            samples = self._samples(LINEAR_BATCH_SIZE, LINEAR_BATCHES)
            return self._try("LinearProbe", partial(linear_probe, network, samples)) or {}

    def _samples(self, batch_size: int, batches: int) -> list[Example]:
        """The first `batches` batches of a fixed random order; fewer if the split is smaller."""
        order = torch.Generator().manual_seed(0)
        return list(islice(self.split.batches(batch_size, generator=order), batches))

    def _loss(self, target: Tensor) -> Callable[[Any], Tensor]:
        return lambda output: self.loss_of(output, target)


def merged(parts: Iterable[Values]) -> Values:
    """All columns of each row."""
    rows: Values = {}
    for part in parts:
        for row, columns in part.items():
            rows.setdefault(row, {}).update(columns)
    return rows
