"""Every diagnostic is possible: cosines, shares and ratios, and the names of blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields

from grape_bench.publish.submission import Submission
from grape_bench.record.parts import Diagnostics
from grape_bench.record.record import Record

COSINES = ("signal_cos", "null_cos", "feedback_cos", "weight_cos", "gradient_cos")
SHARES = ("descent", "update_descent")
ROUNDING = 1e-6


def problems(submission: Submission) -> Iterator[str]:
    """Check the bounds of the summary in each record."""
    for name, record in submission.records.items():
        if record.diagnostics:
            yield from (f"{name}: diagnostics.{problem}" for problem in _impossible(record.diagnostics, record))


def _impossible(found: Diagnostics, record: Record) -> Iterator[str]:
    blocks = {block.name for block in record.network.blocks} if record.network else set()
    for name in (field.name for field in fields(found)):
        value = getattr(found, name)
        if name.endswith("_block") and value is not None and blocks and value not in blocks:
            yield f"{name} = {value!a} is no block of the network"
        if not isinstance(value, int | float):
            continue
        low = -1 if name in COSINES else -math.inf if name == "probe_r2" else 0
        high = 1 if name in (*COSINES, *SHARES, "probe_r2") else 100 if name == "probe_accuracy" else math.inf
        if not low - ROUNDING <= value <= high + ROUNDING or math.isinf(value):
            yield f"{name} = {value}"
