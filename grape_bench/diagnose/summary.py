"""The rows of diagnostics.csv in a few numbers, for a record."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from grape_bench.diagnose.metric import HIDDEN, NETWORK

Row = dict[str, Any]
"""One line of diagnostics.csv: step, samples, block, and a column for each metric that has a value there."""


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """The end of training, by its worst block where a verdict asks for that; `descent` is over all moments.

    Values that nothing was measured for are None.
    """
    if not rows:
        return {}
    last = [row for row in rows if row["step"] == rows[-1]["step"]]
    blocks = [row for row in last if row["block"] not in (HIDDEN, NETWORK)]
    growth = max(blocks, key=lambda row: _or(row.get("growth"), -math.inf))
    gain = min(blocks, key=lambda row: _or(row.get("gain"), math.inf))
    hidden = next(row for row in last if row["block"] == HIDDEN)
    network = next(row for row in last if row["block"] == NETWORK)
    return {
        "growth": _number(growth.get("growth")),
        "growth_block": growth["block"],
        "gain": _number(gain.get("gain")),
        "gain_block": gain["block"],
        **{name: _mean(row.get(name) for row in blocks) for name in ("signal_cos", "null_cos", "feedback_cos")},
        "weight_cos": _number(network.get("weight_cos")),
        "gradient_cos": _number(hidden.get("gradient_cos")),
        "descent": _mean(row.get("descent") for row in rows if row["block"] == HIDDEN),
        "update_descent": _mean(row.get("update_descent") for row in rows if row["block"] == HIDDEN),
        "zoutendijk": _number(network.get("zoutendijk")),
        "probe_accuracy": _number(blocks[-1].get("probe_accuracy")),
    }


def _or(value: float | None, default: float) -> float:
    return default if value is None or math.isnan(value) else value


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _mean(values: Iterable[float | None]) -> float | None:
    present = [value for value in values if value is not None and math.isfinite(value)]
    return sum(present) / len(present) if present else None
