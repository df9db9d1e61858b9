"""A folder of Parquet files: `train.parquet`, `test.parquet` and optionally `validation.parquet`."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from grape_bench.data.cache import file_key
from grape_bench.data.files import existing_folder, split_files
from grape_bench.data.kinds import make_set
from grape_bench.data.tables import CHUNK, Table
from grape_bench.errors import UserError

if TYPE_CHECKING:
    import torch

    from grape_bench.data.dataset import DataSet

POINTER = b"version https://git-lfs"


def load(name: str, *, args: dict[str, Any], device: torch.device) -> DataSet:
    """Load the data set in the folder `name`. Raises UserError if it is missing or unreadable."""
    dataset_id = f"parquet:{name}"
    found = tables(existing_folder(name, where=dataset_id), where=dataset_id)
    return make_set(dataset_id, found, args, device)


def tables(folder: Path, *, where: str) -> dict[str, Table]:
    """Return the splits in `folder`, or the table "graph" if it holds `graph.parquet`.

    Raises UserError for a file that is not Parquet.
    """
    graph = folder / "graph.parquet"
    if graph.is_file():
        return {"graph": ParquetTable.of((graph,), where)}
    files = split_files(folder, "parquet", where=where)
    return {split: ParquetTable.of(paths, f"{where}, {split} split") for split, paths in files.items()}


@dataclass(frozen=True)
class ParquetTable:
    """The rows of one or more Parquet files, in file order. See `Table`."""

    files: tuple[Path, ...]
    where: str
    schemas: dict[str, pa.Schema]
    counts: tuple[int, ...]
    """The rows of each file."""

    @classmethod
    def of(cls, files: tuple[Path, ...], where: str) -> ParquetTable:
        """Read the footers of all files. Raises UserError for a file that is not Parquet."""
        footers = [_footer(file, where) for file in files]
        schemas = {
            f"{where}, {file.name}": footer.schema.to_arrow_schema()
            for file, footer in zip(files, footers, strict=True)
        }
        return cls(files, where, schemas, tuple(footer.num_rows for footer in footers))

    @property
    def rows(self) -> int:
        """The number of rows, from the files' footers."""
        return sum(self.counts)

    @cached_property
    def key(self) -> str:
        """A digest of the files' content."""
        return sha256(" ".join(map(file_key, self.files)).encode()).hexdigest()

    def chunks(self, columns: list[str], size: int = CHUNK) -> Iterator[Any]:
        """Yield record batches. Raises UserError for a damaged file."""
        for file in self.files:
            row = 0
            try:
                with pq.ParquetFile(file, page_checksum_verification=True) as opened:
                    for batch in opened.iter_batches(batch_size=size, columns=columns):
                        yield batch
                        row += len(batch)
            except (pa.ArrowException, OSError, ValueError) as error:
                where = f"{self.where}, after row {row} of {file.name}"
                raise UserError(f"the file is damaged: {first_line(error)}", where=where) from error

    def place(self, row: int) -> str:
        """Describe a row: the split, the row in its file, and the file."""
        for file, count in zip(self.files, self.counts, strict=True):
            if row < count:
                return f"{self.where}, row {row} of {file.name}"
            row -= count
        return self.where

    def random_access(self) -> Any:
        """Load the files through `datasets`, which keeps an Arrow copy in its own cache."""
        import datasets

        # `datasets` treats file names as patterns.
        names = [glob.escape(str(file)) for file in self.files]
        try:
            return datasets.load_dataset("parquet", data_files=names, split="train")
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            what = f"`datasets` could not read the files: {first_line(error)}"
            raise UserError(what, where=self.where, allowed="Parquet files with the same columns") from error


def _footer(file: Path, where: str) -> pq.FileMetaData:
    try:
        return pq.read_metadata(file)
    except (pa.ArrowException, OSError) as error:
        pointer = file.is_file() and file.stat().st_size < 1000 and file.read_bytes().startswith(POINTER)
        hint = "git lfs pull, because the file only points to its content" if pointer else ""
        raise UserError(f"not a Parquet file: {first_line(error)}", where=f"{where}, {file}", hint=hint) from error


def first_line(error: Exception) -> str:
    """Return the first line of the error's message, or its type if the message is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
