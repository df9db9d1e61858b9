"""Records with learning curves that are typed in, for comparisons at equal cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from grape_bench.record.record import Record
from tests.score.records import make

SAMPLES = 1000
"""Of a whole training."""

Runs = tuple[list[Record], dict[str, pd.DataFrame]]


def runs(rule: str, cost: float, scores: Sequence[float], spread: float = 0.0, seeds: int = 3, **more: Any) -> Runs:
    """`seeds` runs with evenly spaced evaluations. Seed s has `scores` + (s - 1) * `spread`. A step costs `cost`."""
    name = more.get("metric", {}).get("name", "accuracy")
    found: Runs = ([], {})
    for seed in range(seeds):
        values = [score + (seed - 1) * spread for score in scores]
        profile = None if rule in ("bp", "frozen") else {"step_ratio": cost}
        record = make(rule, seed, values[-1], **{"profile": profile, **more})
        epochs = range(1, len(values) + 1)
        samples = [SAMPLES * epoch // len(values) for epoch in epochs]
        found[0].append(record)
        found[1][record.id] = pd.DataFrame(
            {"epoch": epochs, "samples": samples, "seconds": samples, f"validation_{name}": values}
        )
    return found


def merged(*groups: Runs) -> Runs:
    """All runs together."""
    return [record for records, _ in groups for record in records], {k: v for _, c in groups for k, v in c.items()}
