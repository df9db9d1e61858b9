"""Facts about the named data sets without loading them. Does not import torch."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from grape_bench.data.names import DATASETS, NAMED, named_folder

FILE = Path(__file__).with_name("known.csv")


@dataclass(frozen=True)
class Known:
    """A data set: the number of `unit`s in each split, the shape of one input, its objective and its id on the Hub.

    A text is "" if the fact is unknown.
    """

    dataset: str
    train: str = ""
    validation: str = ""
    test: str = ""
    input: str = ""
    unit: str = ""
    objective: str = ""
    hub: str = ""

    @property
    def place(self) -> str:
        """Where the data is: "built in", "here" (in $GRAPE_BENCH_DATA), on the "Hub", or "missing"."""
        if self.dataset not in NAMED:
            return "built in"
        if named_folder(self.dataset):
            return "here"
        return "Hub" if self.hub else "missing"


@cache
def _rows() -> Mapping[str, Known]:
    with FILE.open(encoding="utf-8", newline="") as lines:
        return {row["dataset"]: Known(**row) for row in csv.DictReader(lines)}


def known_datasets() -> list[Known]:
    """Every data set with a name, including those of other packages."""
    return [_rows().get(name, Known(name)) for name in DATASETS]
