"""What is known about the models of libraries without building them: size, input, and what the sweep found.

`python -m benchmarks.models` writes known.csv. docs/coverage.md has the whole sweep. Imports no torch.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("known.csv")
FIELDS = ("model", "parameters", "input", "swept", "held")


@dataclass(frozen=True)
class Known:
    """A model of a library. `held` says whether `swept`, the model of its family in the sweep, passed every check.

    `input` is the shape of an image (C, H, W). A text is "" where nothing is known.
    """

    model: str
    parameters: str
    input: str
    swept: str
    held: str

    @property
    def attached(self) -> str:
        """What the sweep says about this model: `yes`, `no`, `family` for a relative that passed, or ""."""
        return self.held if self.swept == self.model else {"yes": "family", "no": "family: no"}.get(self.held, "")


@cache
def known_models() -> Mapping[str, Known]:
    """Every known model by its id, such as `timm:resnet18`."""
    with FILE.open(encoding="utf-8", newline="") as lines:
        return {row["model"]: Known(**row) for row in csv.DictReader(lines)}


def matching(pattern: str) -> list[Known]:
    """The known models whose id matches a pattern like `timm:vit*`."""
    return [known for name, known in known_models().items() if fnmatchcase(name, pattern)]
