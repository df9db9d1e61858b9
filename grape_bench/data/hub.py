"""Data sets of the Hugging Face hub, or anything else that `datasets.load_dataset` reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from grape_bench.data.images import image_set
from grape_bench.data.options import parse
from grape_bench.data.tables import HubTable, ImageTable
from grape_bench.errors import UserError

if TYPE_CHECKING:
    import datasets
    import torch

    from grape_bench.data.dataset import DataSet


def load(name: str, *, args: dict[str, Any], device: torch.device) -> DataSet:
    """`datasets.load_dataset(name)`, or `NAME:CONFIGURATION`; raises UserError where it cannot be had."""
    dataset_id = f"hf:{name}"
    options = parse(dataset_id, args)
    return image_set(dataset_id, tables(name, where=dataset_id), options, device)


def tables(name: str, *, where: str) -> dict[str, ImageTable]:
    """All splits of a data set of the hub, or of a folder in one of the forms that `datasets` knows."""
    local = Path(name.partition(":")[0]).is_dir()
    splits = load_splits(name, where=where)
    return {split: HubTable(splits[split], f"{where}, {split} split", local) for split in splits}


def load_splits(name: str, *, where: str) -> datasets.DatasetDict:
    """What `datasets.load_dataset` gives for `NAME` or `NAME:CONFIGURATION`; UserError where it cannot be had."""
    import datasets

    path, _, configuration = name.partition(":")
    try:
        return datasets.load_dataset(path, configuration or None)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise UserError(
            f"`datasets` could not load it: {str(error).strip() or type(error).__name__}",
            where=where,
            hint="a machine with a network first (the download is kept in $HF_HOME), or parquet:FOLDER",
        ) from error
