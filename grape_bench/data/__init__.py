"""Data sets: one file per source, with normalized batches on one device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grape_bench.data.dataset import DataSet, Split
from grape_bench.data.names import DATASETS, SOURCES, check_name, split_source
from grape_bench.registry import is_file_reference

if TYPE_CHECKING:
    import torch

__all__ = ["DataSet", "Split", "load"]


def load(dataset_id: str, *, args: dict[str, Any], device: torch.device) -> DataSet:
    """Load the data set called `dataset_id`. Its batches are on `device`.

    Raises UserError for an unknown id or argument, and for missing or unreadable files.
    """
    check_name(dataset_id)
    if is_file_reference(dataset_id):
        from grape_bench.data import user_file

        return user_file.load(dataset_id, user_file.loader_of(dataset_id), args, device)
    source, name = split_source(dataset_id)
    if source:
        return SOURCES.get(source)(name, args=args, device=device)
    return DATASETS.get(name)(args=args, device=device)
