"""Data sets from the Hugging Face Hub, or anything else that `datasets.load_dataset` reads."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from grape_bench.data.cache import file_key
from grape_bench.data.files import existing_folder
from grape_bench.data.kinds import make_set
from grape_bench.data.tables import CHUNK, Table, standard_splits
from grape_bench.errors import UserError

if TYPE_CHECKING:
    import datasets
    import torch

    from grape_bench.data.dataset import DataSet


def load(name: str, *, args: dict[str, Any], device: torch.device) -> DataSet:
    """Load `datasets.load_dataset(name)`, or `NAME:CONFIGURATION`. Raises UserError if it cannot be loaded."""
    dataset_id = f"hf:{name}"
    return make_set(dataset_id, tables(name, where=dataset_id), args, device)


def load_folder(name: str, *, args: dict[str, Any], device: torch.device) -> DataSet:
    """Load a folder of images: `train/CLASS/NAME.png` and `test/CLASS/NAME.png`. Raises UserError if there is none."""
    dataset_id = f"imagefolder:{name}"
    folder = existing_folder(name, where=dataset_id)
    return make_set(dataset_id, tables(str(folder.absolute()), where=dataset_id), args, device)


def tables(name: str, *, where: str) -> dict[str, Table]:
    """Return all splits of a data set on the Hub, or of a local folder in a format that `datasets` knows."""
    local = Path(_path(name)[0]).is_dir()
    splits = standard_splits(load_splits(name, where=where), where=where)
    return {split: HubTable(table, f"{where}, {split} split", local) for split, table in splits.items()}


def _path(name: str) -> tuple[str, str]:
    """Split `PATH:CONFIGURATION`. The path of an existing folder may itself contain a colon."""
    if Path(name).is_dir():
        return name, ""
    path, _, configuration = name.partition(":")
    return path, configuration


def load_splits(name: str, *, where: str) -> datasets.DatasetDict:
    """Call `datasets.load_dataset` for `NAME` or `NAME:CONFIGURATION`. Raises UserError if it fails."""
    import datasets

    path, configuration = _path(name)
    if glob.has_magic(path):
        what = f"`datasets` reads the signs * ? [ ] in the path {path!r} as patterns"
        raise UserError(what, where=where, hint="a folder without these signs in its path")
    try:
        return datasets.load_dataset(path, configuration or None)
    except Exception as error:  # the readers of `datasets` raise their own types for damaged files
        raise UserError(
            f"`datasets` could not load it: {str(error).strip() or type(error).__name__}",
            where=where,
            hint="load it once on a machine with a network (the download stays in $HF_HOME), or use parquet:FOLDER",
        ) from error


@dataclass(frozen=True)
class HubTable:
    """One split of a `datasets.DatasetDict`. `local` means that it was read from a folder. See `Table`."""

    dataset: Any
    where: str
    local: bool = False

    @cached_property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.dataset)

    @cached_property
    def key(self) -> str:
        """A digest of the Arrow files that `datasets` wrote, or the fingerprint of a data set without files.

        The Arrow files of a local folder may hold only the paths of the images. When an image changes, `datasets`
        renames the Arrow file, so the names count too.
        """
        files = [Path(entry["filename"]) for entry in self.dataset.cache_files]
        content = " ".join(map(file_key, files)) if files else self.dataset._fingerprint
        if self.local:
            content += " ".join(map(str, files))
        return sha256(content.encode()).hexdigest()

    @cached_property
    def schemas(self) -> dict[str, pa.Schema]:
        """The columns, with the features in the metadata."""
        return {self.where: self.dataset.features.arrow_schema}

    def chunks(self, columns: list[str], size: int = CHUNK) -> Iterator[Any]:
        """Yield Arrow tables with encoded images. Raises UserError for rows that cannot be read."""
        row = 0
        try:
            for table in self.dataset.select_columns(columns).with_format("arrow").iter(batch_size=size):
                yield table
                row += len(table)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UserError(f"the rows cannot be read: {error}", where=self.place(row)) from error

    def place(self, row: int) -> str:
        """Describe a row: the split and the row."""
        return f"{self.where}, row {row}"

    def random_access(self) -> Any:
        """Return the data set itself."""
        return self.dataset
