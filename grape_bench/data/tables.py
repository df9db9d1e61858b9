"""Tables of encoded images: Parquet files, or a data set of the `datasets` library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from grape_bench.data.cache import file_key
from grape_bench.data.partition import Indices
from grape_bench.errors import UserError

CHUNK = 1000


class ImageTable(Protocol):
    """One split of a source, not yet decoded."""

    @property
    def where(self) -> str:
        """For error messages."""

    @property
    def rows(self) -> int:
        """How many."""

    @property
    def key(self) -> str:
        """Stands for the content."""

    @property
    def schema(self) -> pa.Schema:
        """Columns, with the `datasets` features in the metadata where there are any."""

    def chunks(self, columns: list[str], size: int = CHUNK) -> Iterator[Any]:
        """Arrow tables or record batches of at most `size` rows, in order."""

    def random_access(self) -> Any:
        """The same rows as a memory-mapped `datasets.Dataset`."""


@dataclass(frozen=True)
class ParquetTable:
    """The rows of some Parquet files, one after the other."""

    files: tuple[Path, ...]
    where: str

    @cached_property
    def rows(self) -> int:
        """From the files' footers."""
        return sum(pq.read_metadata(file).num_rows for file in self.files)

    @cached_property
    def key(self) -> str:
        """Of the files' content."""
        return sha256(" ".join(map(file_key, self.files)).encode()).hexdigest()

    @cached_property
    def schema(self) -> pa.Schema:
        """Of the first file; raises UserError where it is not Parquet."""
        try:
            return pq.read_schema(self.files[0])
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"not a Parquet file: {error}", where=str(self.files[0])) from error

    def chunks(self, columns: list[str], size: int = CHUNK) -> Iterator[Any]:
        """Record batches."""
        for file in self.files:
            yield from pq.ParquetFile(file).iter_batches(batch_size=size, columns=columns)

    def random_access(self) -> Any:
        """Through `datasets`, which keeps an Arrow copy in its own cache."""
        import datasets

        return datasets.load_dataset("parquet", data_files=[str(file) for file in self.files], split="train")


@dataclass(frozen=True)
class HubTable:
    """One split of a `datasets.DatasetDict`; `local` where it was read from a folder."""

    dataset: Any
    where: str
    local: bool = False

    @cached_property
    def rows(self) -> int:
        """The data set's length."""
        return len(self.dataset)

    @cached_property
    def key(self) -> str:
        """Of the Arrow files that `datasets` wrote, or the fingerprint of a set that has none.

        Those of a local folder may hold only the images' paths: then `datasets` tells a changed image by
        another name of the Arrow file.
        """
        files = [Path(entry["filename"]) for entry in self.dataset.cache_files]
        content = " ".join(map(file_key, files)) if files else self.dataset._fingerprint
        if self.local:
            content += " ".join(map(str, files))
        return sha256(content.encode()).hexdigest()

    @cached_property
    def schema(self) -> pa.Schema:
        """With the features in the metadata."""
        return self.dataset.features.arrow_schema

    def chunks(self, columns: list[str], size: int = CHUNK) -> Iterator[Any]:
        """Arrow tables, images not decoded."""
        yield from self.dataset.select_columns(columns).with_format("arrow").iter(batch_size=size)

    def random_access(self) -> Any:
        """Itself."""
        return self.dataset


def read_labels(table: ImageTable, column: str) -> Indices:
    """The labels of all rows, (N,) int64; raises UserError where some are missing."""
    parts = []
    for chunk in table.chunks([column], 100_000):
        labels = chunk.column(column)
        if labels.null_count:
            raise UserError(f"{labels.null_count} rows without a label", where=table.where)
        parts.append(np.asarray(labels).astype(np.int64))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
