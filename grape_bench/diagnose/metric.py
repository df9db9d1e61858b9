"""What a metric is: it sees each probe batch under the rule and under backpropagation, and gives numbers by block."""

from __future__ import annotations

from typing import Protocol

from grape_bench.diagnose.reading import Reading
from grape_bench.network.trace import Batch

HIDDEN, NETWORK = "(hidden)", "(network)"
"""Rows for the parameters of all blocks together, and for these and the head's."""

Values = dict[str, dict[str, float]]
"""Block's name, `HIDDEN` or `NETWORK` -> column -> number."""


class Metric(Protocol):
    """One quantity."""

    def see(self, batch: Batch, own: Reading, true: Reading) -> None:
        """Take one probe batch into account."""

    def values(self) -> Values:
        """The numbers, after the last batch."""
