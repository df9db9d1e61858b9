"""Data sets: one file per source, normalized batches on one device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grape_bench.data.dataset import DataSet, Split
from grape_bench.data.names import DATASETS, SOURCES, check_name, split_source

if TYPE_CHECKING:
    import torch

__all__ = ["DataSet", "Split", "load"]


def load(dataset_id: str, *, args: dict[str, Any], device: torch.device) -> DataSet:
    """Load the data set called `dataset_id`. Its batches are on `device`.

    Raises UserError for an unknown id or argument, and for missing or unreadable files.
    """
    check_name(dataset_id)
    source, name = split_source(dataset_id)
    if source:
        return SOURCES.get(source)(name, args=args, device=device)
    return DATASETS.get(name)(args=args, device=device)
