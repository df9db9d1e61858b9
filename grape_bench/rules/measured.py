"""What `results/rules` measured for each shipped rule. `list rules` and docs/rules.md show it.

`python -m benchmarks.rules` writes measured.csv from the recorded table.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("measured.csv")


@dataclass(frozen=True)
class Measured:
    """The measurements of one rule. Costs are relative to BP, and medians over tasks. "" means not measured.

    `verdicts` is the comparison with the control on each task, such as `digits-mlp: better; digits-cnn: tied`.
    """

    rule: str
    entrant: str
    transport: str
    forwards: str
    step_ratio: str
    live_ratio: str
    bp_fraction: str
    verdicts: str


@cache
def measured() -> dict[str, Measured]:
    """The measurements by rule. A rule without a result has none."""
    if not FILE.exists():
        return {}
    with FILE.open(encoding="utf-8", newline="") as lines:
        return {row["rule"]: Measured(**row) for row in csv.DictReader(lines)}
