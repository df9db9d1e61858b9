"""Tables of encoded images: their interface, and which splits and columns of a source are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from grape_bench.data.decode import ImageForm, native_form, open_image, to_array
from grape_bench.data.options import ImageOptions
from grape_bench.data.partition import Indices
from grape_bench.errors import UserError, unknown

CHUNK = 1000
IMAGE_NAMES = ("image", "img")
LABEL_NAMES = ("label", "labels", "fine_label")


class ImageTable(Protocol):
    """One split of a source before decoding."""

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
    def schema(self) -> pa.Schema:
        """The columns. The metadata holds the features of the `datasets` library, if any."""

    def chunks(self, columns: list[str], size: int = CHUNK) -> Iterator[Any]:
        """Yield Arrow tables or record batches of at most `size` rows, in order."""

    def random_access(self) -> Any:
        """Return the same rows as a memory-mapped `datasets.Dataset`."""


@dataclass(frozen=True)
class Columns:
    """The image column, the label column, and the class names if the table has them."""

    image: str
    label: str
    class_names: tuple[str, ...] | None


@dataclass(frozen=True)
class Selection:
    """The tables `train`, `test` and perhaps `validation` of a source, and how to read them."""

    tables: dict[str, ImageTable]
    columns: Columns
    form: ImageForm
    shape: tuple[int, int, int]

    @property
    def bytes(self) -> int:
        """The size of all images after decoding."""
        channels, height, width = self.shape
        return sum(table.rows for table in self.tables.values()) * channels * height * width

    @property
    def key(self) -> str:
        """A digest of the content of all tables."""
        return " ".join(f"{split} {table.key}" for split, table in self.tables.items())

    def class_count(self, train_labels: Indices) -> int:
        """Return the number of class names, or one more than the largest training label if there are no names."""
        names = self.columns.class_names
        return len(names) if names else int(train_labels.max()) + 1


def select(name: str, tables: dict[str, ImageTable], options: ImageOptions) -> Selection:
    """Choose splits and columns, and take the image form from the first training image. Raises UserError."""
    chosen = _splits(name, tables, options)
    train = chosen["train"]
    columns = find_columns(train.schema, options, where=train.where)
    for table in chosen.values():
        if table.rows == 0:
            raise UserError("the split has no rows", where=table.where)
        for column in (columns.image, columns.label):
            if column not in table.schema.names:
                raise unknown("column", column, table.schema.names, where=table.where)
    cell = next(train.chunks([columns.image], 1)).column(columns.image)[0].as_py()
    first = open_image(cell, where=f"{train.where}, row 0")
    form = native_form(first, channels=options.channels, resize=options.resize, where=train.where)
    height, width = to_array(first, form, where=f"{train.where}, row 0").shape[:2]
    return Selection(chosen, columns, form, (form.channels, height, width))


def _splits(name: str, tables: dict[str, ImageTable], options: ImageOptions) -> dict[str, ImageTable]:
    for split in ("train", options.test_split):
        if split not in tables:
            hint = ""
            if split == "test" and "validation" in tables:
                hint = 'dataset_args = { test_split = "validation" }, which then cuts validation from train'
            raise UserError(f"no split {split!r}", where=name, allowed=", ".join(tables), hint=hint)
    if options.test_split == "train":
        raise UserError("the test split cannot be the training split", where=name, allowed="another test_split")
    chosen = {"train": tables["train"], "test": tables[options.test_split]}
    if "validation" in tables and options.test_split != "validation":
        chosen["validation"] = tables["validation"]
    return chosen


def find_columns(schema: pa.Schema, options: ImageOptions, *, where: str) -> Columns:
    """Find the columns that `options` names, or else find them by type and name. Raises UserError."""
    features = _features(schema)
    image = _image_column(schema, features, options.image_column, where)
    label = _label_column(schema, options.label_column, where)
    feature = features.get(label)
    names = feature.get("names") if isinstance(feature, dict) else None
    return Columns(image, label, tuple(names) if names else None)


def _features(schema: pa.Schema) -> dict[str, Any]:
    metadata = (schema.metadata or {}).get(b"huggingface")
    features: dict[str, Any] = json.loads(metadata).get("info", {}).get("features", {}) if metadata else {}
    return features


def _image_column(schema: pa.Schema, features: dict[str, Any], requested: str | None, where: str) -> str:
    def holds_images(name: str) -> bool:
        kind, feature = schema.field(name).type, features.get(name)
        is_struct = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        is_image = isinstance(feature, dict) and feature.get("_type") == "Image"
        return is_image or is_struct or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

    if requested is not None:
        if requested not in schema.names:
            raise unknown("image_column", requested, schema.names, where=where)
        if not holds_images(requested):
            raise UserError(f"column {requested!r} ({schema.field(requested).type}) holds no images", where=where)
        return requested
    found = [name for name in schema.names if holds_images(name)]
    usual = [name for name in IMAGE_NAMES if name in found]
    if not found:
        raise UserError(
            f"none of the columns {', '.join(schema.names)} holds images; tables of numbers or text are not supported",
            where=where,
            allowed="a column of encoded images: bytes, or a struct with a field `bytes`",
        )
    if len(found) > 1 and not usual:
        hint = f'dataset_args = {{ image_column = "{found[0]}" }}'
        raise UserError(f"several columns hold images: {', '.join(found)}", where=where, hint=hint)
    return usual[0] if usual else found[0]


def _label_column(schema: pa.Schema, requested: str | None, where: str) -> str:
    if requested is not None and requested not in schema.names:
        raise unknown("label_column", requested, schema.names, where=where)
    found = [requested] if requested else [name for name in LABEL_NAMES if name in schema.names]
    if not found:
        hint = 'dataset_args = { label_column = "NAME" }'
        raise UserError(f"none of the columns {', '.join(schema.names)} holds labels", where=where, hint=hint)
    if not pa.types.is_integer(schema.field(found[0]).type):
        kind = schema.field(found[0]).type
        raise UserError(f"column {found[0]!r} has type {kind}", where=where, allowed="integers, starting at 0")
    return found[0]


def read_labels(table: ImageTable, column: str) -> Indices:
    """Read the labels of all rows: (N,) int64. Raises UserError if labels are missing."""
    parts = []
    for chunk in table.chunks([column], 100_000):
        labels = chunk.column(column)
        if labels.null_count:
            raise UserError(f"rows without a label: {labels.null_count}", where=table.where)
        parts.append(np.asarray(labels).astype(np.int64))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
