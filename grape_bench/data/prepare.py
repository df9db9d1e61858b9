"""Fetch a named data set once, for machines without a network."""

from __future__ import annotations

from pathlib import Path

from grape_bench.data.hub import load_splits
from grape_bench.data.named import HUB
from grape_bench.data.names import DATASETS
from grape_bench.errors import UserError, unknown
from grape_bench.record.write import new_folder


def prepare(name: str, root: Path) -> tuple[Path, dict[str, int]]:
    """Write `root/name/SPLIT.parquet` from the hub, all splits or none; the folder and each split's rows.

    Raises UserError for a data set that does not come from the hub, and where it or the folder cannot be had.
    """
    if name not in HUB:
        if name in DATASETS:
            raise UserError(f"{name!r} needs no preparing: it is made on the spot")
        raise unknown("data set of the hub", name, HUB)
    folder = root / name
    if folder.exists():
        raise UserError("is there already", where=str(folder), hint="delete it first, to fetch it again")
    splits = load_splits(HUB[name], where=name)
    try:
        with new_folder(folder) as draft:
            for split, table in splits.items():
                table.to_parquet(draft / f"{split}.parquet")
    except OSError as error:
        raise UserError(
            f"cannot be written: {error}", where=str(folder), hint="another folder, with --to DIR"
        ) from error
    return folder, {split: len(table) for split, table in splits.items()}
