"""Facts about library models without building them: size, input, and the result of the sweep.

`python -m benchmarks.models` writes known.csv. docs/coverage.md has the whole sweep. Does not import torch.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("known.csv")
FIELDS = ("model", "parameters", "input", "swept", "held")


@dataclass(frozen=True)
class Known:
    """A model of a library. `held` is whether `swept`, the model of its family in the sweep, passed every check.

    `input` is the shape of an image (C, H, W). A text is "" if the fact is unknown.
    """

    model: str
    parameters: str
    input: str
    swept: str
    held: str

    @property
    def attached(self) -> str:
        """The sweep's result for this model: `yes`, `no`, `family` if a relative passed, or ""."""
        return self.held if self.swept == self.model else {"yes": "family", "no": "family: no"}.get(self.held, "")


@cache
def known_models() -> Mapping[str, Known]:
    """Every known model by its id, such as `timm:resnet18`."""
    with FILE.open(encoding="utf-8", newline="") as lines:
        return {row["model"]: Known(**row) for row in csv.DictReader(lines)}
