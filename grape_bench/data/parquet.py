"""A folder of Parquet files: `train.parquet`, `test.parquet` and perhaps `validation.parquet`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from grape_bench.data.cache import file_key
from grape_bench.data.images import image_set
from grape_bench.data.options import parse
from grape_bench.data.tables import CHUNK, ImageTable
from grape_bench.errors import UserError

if TYPE_CHECKING:
    import torch

    from grape_bench.data.dataset import DataSet

SPLITS = ("train", "validation", "test")


def load(name: str, *, args: dict[str, Any], device: torch.device) -> DataSet:
    """Load the data set in the folder `name`. Raises UserError if it is missing or unreadable."""
    dataset_id = f"parquet:{name}"
    options = parse(dataset_id, args)
    return image_set(dataset_id, tables(Path(name).expanduser(), where=dataset_id), options, device)


def tables(folder: Path, *, where: str) -> dict[str, ImageTable]:
    """Return the splits in `folder`. A split is `SPLIT.parquet`, `SPLIT-*.parquet`, or the files in `SPLIT/`."""
    if not folder.is_dir():
        hint = "the path of a folder, relative to the current one"
        raise UserError(f"no folder {folder.absolute()}", where=where, hint=hint)
    found: dict[str, ImageTable] = {}
    for split in SPLITS:
        patterns = (f"{split}.parquet", f"{split}-*.parquet", f"{split}/*.parquet")
        files = next((sorted(folder.glob(p)) for p in patterns if any(folder.glob(p))), [])
        if files:
            found[split] = ParquetTable(tuple(files), f"{where}, {split} split")
    if "train" not in found:
        missing = f"no {folder.absolute() / 'train.parquet'}"
        raise UserError(missing, where=where, allowed="train.parquet, train-*.parquet or train/*.parquet")
    return found


@dataclass(frozen=True)
class ParquetTable:
    """The rows of one or more Parquet files, one file after the other. See `ImageTable`."""

    files: tuple[Path, ...]
    where: str

    @cached_property
    def rows(self) -> int:
        """The number of rows, from the files' footers."""
        return sum(pq.read_metadata(file).num_rows for file in self.files)

    @cached_property
    def key(self) -> str:
        """A digest of the files' content."""
        return sha256(" ".join(map(file_key, self.files)).encode()).hexdigest()

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of the first file. Raises UserError if it is not Parquet."""
        try:
            return pq.read_schema(self.files[0])
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"not a Parquet file: {error}", where=str(self.files[0])) from error

    def chunks(self, columns: list[str], size: int = CHUNK) -> Iterator[Any]:
        """Yield record batches."""
        for file in self.files:
            yield from pq.ParquetFile(file).iter_batches(batch_size=size, columns=columns)

    def random_access(self) -> Any:
        """Load the files through `datasets`, which keeps an Arrow copy in its own cache."""
        import datasets

        return datasets.load_dataset("parquet", data_files=[str(file) for file in self.files], split="train")
