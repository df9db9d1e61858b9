"""Tables of samples: their interface, and which splits of a source are read."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from grape_bench.errors import UserError, unknown

T = TypeVar("T")

log = logging.getLogger(__name__)

CHUNK = 1000
SPLITS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""The splits, with all names of each one. The `datasets` library reads the same names."""


class Table(Protocol):
    """One split of a source before it is read."""

    @property
    def where(self) -> str:
        """The name of the split in error messages."""

    @property
    def rows(self) -> int:
        """The number of rows."""

    @property
    def key(self) -> str:
        """A digest of the content."""

    @property
    def schemas(self) -> Mapping[str, pa.Schema]:
        """The columns of each file, by the file's name in error messages.

        The metadata holds the features of the `datasets` library, if any.
        """

    def chunks(self, columns: list[str], size: int = CHUNK) -> Iterator[Any]:
        """Yield Arrow tables or record batches of at most `size` rows, in order.

        No chunk holds rows of two files. Raises UserError for rows that cannot be read.
        """

    def place(self, row: int) -> str:
        """Describe a row for error messages: the split, the row, and the file."""

    def random_access(self) -> Any:
        """Return the same rows as a memory-mapped `datasets.Dataset`."""


def schema_of(table: Table) -> pa.Schema:
    """Return the columns of the table's first file."""
    return next(iter(table.schemas.values()))


def standard_split(name: str) -> str:
    """Map synonyms to "train", "validation" or "test". Other names stay unchanged."""
    return next((split for split, names in SPLITS.items() if name in names), name)


def standard_splits(found: Mapping[str, T], *, where: str) -> dict[str, T]:
    """Rename the splits of a source to "train", "validation" and "test".

    If several splits have the same meaning, each keeps its name, and a warning lists those that are not read.
    """
    renamed: dict[str, T] = {}
    for name, one in found.items():
        standard = standard_split(name)
        others = [other for other in found if other != name and standard_split(other) == standard]
        if others and name != standard:
            log.warning("%s: split %r is not read as the %s split, as there is %r", where, name, standard, others[0])
        renamed[name if others else standard] = one
    return renamed


def choose_splits(name: str, tables: Mapping[str, Table], test_split: str = "test") -> dict[str, Table]:
    """Return the tables `train`, `test` and optionally `validation`. Raises UserError if one is missing or empty."""
    wanted = test_split if test_split in tables else standard_split(test_split)
    for split in ("train", wanted):
        if split not in tables:
            hint = ""
            if split == "test" and "validation" in tables:
                hint = 'dataset_args = { test_split = "validation" }, which then cuts validation from train'
            raise UserError(f"no split {split!r}", where=name, allowed=", ".join(tables), hint=hint)
    if wanted == "train":
        raise UserError("the test split cannot be the training split", where=name, allowed="another test_split")
    chosen = {"train": tables["train"], "test": tables[wanted]}
    if "validation" in tables and wanted != "validation":
        chosen["validation"] = tables["validation"]
    for table in chosen.values():
        if table.rows == 0:
            raise UserError("the split has no rows", where=table.where)
    return chosen


def check_columns(tables: Mapping[str, Table], columns: list[str]) -> None:
    """Raise UserError unless every file of every split has each of `columns` once."""
    for table in tables.values():
        for where, schema in table.schemas.items():
            for column in columns:
                count = schema.names.count(column)
                if not count:
                    raise unknown("column", column, schema.names, where=where)
                if count > 1:
                    raise UserError(f"{count} columns have the name {column!r}", where=where, hint="rename one of them")


def features(schema: pa.Schema) -> dict[str, Any]:
    """Return the features that the `datasets` library stored with `schema`, by column. Empty if there are none."""
    metadata = (schema.metadata or {}).get(b"huggingface")
    if not metadata:
        return {}
    try:
        found = json.loads(metadata).get("info", {}).get("features", {})
    except (ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def class_names(schema: pa.Schema, column: str) -> tuple[str, ...] | None:
    """Return the class names that the `datasets` library stored for `column`, or None."""
    feature = features(schema).get(column)
    names = feature.get("names") if isinstance(feature, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) and names else None
