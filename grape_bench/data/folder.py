"""A folder of Parquet files: `train.parquet`, `test.parquet` and perhaps `validation.parquet`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from grape_bench.data.images import image_set
from grape_bench.data.options import parse
from grape_bench.data.tables import ImageTable, ParquetTable
from grape_bench.errors import UserError

if TYPE_CHECKING:
    import torch

    from grape_bench.data.dataset import DataSet

SPLITS = ("train", "validation", "test")


def load(name: str, *, args: dict[str, Any], device: torch.device) -> DataSet:
    """The data set in the folder `name`; raises UserError where it is not there or cannot be read."""
    dataset_id = f"parquet:{name}"
    options = parse(dataset_id, args)
    return image_set(dataset_id, tables(Path(name).expanduser(), where=dataset_id), options, device)


def tables(folder: Path, *, where: str) -> dict[str, ImageTable]:
    """The splits in `folder`: of each `SPLIT.parquet`, `SPLIT-*.parquet` or the files in `SPLIT/`."""
    if not folder.is_dir():
        raise UserError(f"no folder {folder.absolute()}", where=where, hint="the path of a folder, from here")
    found: dict[str, ImageTable] = {}
    for split in SPLITS:
        patterns = (f"{split}.parquet", f"{split}-*.parquet", f"{split}/*.parquet")
        files = next((sorted(folder.glob(p)) for p in patterns if any(folder.glob(p))), [])
        if files:
            found[split] = ParquetTable(tuple(files), f"{where}, {split} split")
    if "train" not in found:
        looked = f"no {folder.absolute() / 'train.parquet'}"
        raise UserError(looked, where=where, allowed="train.parquet, train-*.parquet or train/*.parquet")
    return found
