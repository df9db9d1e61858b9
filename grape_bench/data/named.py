"""The well-known small image sets: from `$GRAPE_BENCH_DATA/<name>` if it exists, else from the Hub."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grape_bench.data import hub, parquet
from grape_bench.data.images import image_set
from grape_bench.data.names import DATASETS
from grape_bench.data.options import parse
from grape_bench.data.tables import Table
from grape_bench.errors import UserError, unknown
from grape_bench.record.write import new_folder

if TYPE_CHECKING:
    import torch

    from grape_bench.data.dataset import DataSet

VARIABLE = "GRAPE_BENCH_DATA"
HUB = {
    "mnist": "ylecun/mnist",
    "fashion_mnist": "zalando-datasets/fashion_mnist",
    "cifar10": "uoft-cs/cifar10",
    "cifar100": "uoft-cs/cifar100",
}


def load(name: str, *, args: dict[str, Any], device: torch.device) -> DataSet:
    """Load the data set `name`, a key of HUB. Raises UserError if neither the folder nor the Hub has it."""
    options = parse(name, args)
    return image_set(name, tables(name), options, device)


def tables(name: str) -> dict[str, Table]:
    """Return the splits of `name`. The error message says where they were looked for."""
    root = os.environ.get(VARIABLE)
    folder = Path(root).expanduser() / name if root else None
    if folder is not None and folder.is_dir():
        return parquet.tables(folder, where=name)
    try:
        return hub.tables(HUB[name], where=name)
    except UserError as error:
        missing = f"no folder {folder.absolute()}" if folder else f"${VARIABLE} is not set"
        raise UserError(
            f"{missing}, and {HUB[name]} could not be loaded from the Hub ({error.what})",
            where=name,
            hint=f"export {VARIABLE}=DIR, where DIR/{name} holds train.parquet and test.parquet",
        ) from error


def prepare(name: str, root: Path) -> tuple[Path, dict[str, int]]:
    """Download `name` into `root/name/SPLIT.parquet`, for machines without a network.

    Writes all splits or none. Returns the folder and the rows of each split. Raises UserError if the data set
    does not come from the Hub, cannot be loaded, or cannot be written.
    """
    if name not in HUB:
        if name in DATASETS:
            raise UserError(f"{name!r} needs no download, because the program generates it")
        raise unknown("data set of the Hub", name, HUB)
    folder = root / name
    if folder.exists():
        raise UserError("the folder already exists", where=str(folder), hint="delete it first to download it again")
    splits = hub.load_splits(HUB[name], where=name)
    try:
        with new_folder(folder) as draft:
            for split, table in splits.items():
                table.to_parquet(draft / f"{split}.parquet")
    except OSError as error:
        hint = "another folder, with --to DIR"
        raise UserError(f"cannot write the folder: {error}", where=str(folder), hint=hint) from error
    return folder, {split: len(table) for split, table in splits.items()}


mnist = partial(load, "mnist")
fashion_mnist = partial(load, "fashion_mnist")
cifar10 = partial(load, "cifar10")
cifar100 = partial(load, "cifar100")
