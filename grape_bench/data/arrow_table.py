"""Tables that are read into memory at once: CSV files, time series, sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa

from grape_bench.data.cache import file_key
from grape_bench.data.tables import CHUNK


@dataclass(frozen=True)
class ArrowTable:
    """The rows of several tables in memory, in order. `files` are the files that they were read from. See `Table`."""

    parts: dict[str, pa.Table]
    """File name -> table."""
    files: tuple[Path, ...]
    where: str

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(len(part) for part in self.parts.values())

    @cached_property
    def key(self) -> str:
        """A digest of the files' contents and names, because a name can hold a label."""
        return sha256(" ".join(f"{file.name} {file_key(file)}" for file in self.files).encode()).hexdigest()

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        """The columns of each table."""
        return {f"{self.where}, {name}": part.schema for name, part in self.parts.items()}

    def chunks(self, columns: list[str], size: int = CHUNK) -> Iterator[Any]:
        """Yield record batches."""
        for part in self.parts.values():
            yield from part.select(columns).to_batches(max_chunksize=size)

    def place(self, row: int) -> str:
        """Describe a row: the split, the row in its file, and the file."""
        for name, part in self.parts.items():
            if row < len(part):
                return f"{self.where}, row {row} of {name}"
            row -= len(part)
        return self.where

    def random_access(self) -> Any:
        """Return the rows as a data set in memory."""
        import datasets

        return datasets.Dataset(pa.concat_tables(self.parts.values()))
