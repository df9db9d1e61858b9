"""Tables of encoded images: choose the columns and splits to read, and the form of the images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from grape_bench.data.decode import ImageForm, native_form, open_image, to_array
from grape_bench.data.labels import Labels, label_column, read_labels
from grape_bench.data.options import ImageOptions
from grape_bench.data.tables import Table, check_columns, choose_splits, class_names, features, schema_of
from grape_bench.errors import UserError, unknown

IMAGE_NAMES = ("image", "img")


@dataclass(frozen=True)
class Columns:
    """The image column, the label column, and the class names if the table has them."""

    image: str
    label: str
    class_names: tuple[str, ...] | None


@dataclass(frozen=True)
class Selection:
    """The tables `train`, `test` and optionally `validation` of a source, their labels, and how to read the images."""

    tables: dict[str, Table]
    columns: Columns
    labels: Labels
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


def select(name: str, tables: Mapping[str, Table], options: ImageOptions) -> Selection:
    """Choose splits and columns, read the labels, and take the image form from the first training image.

    Raises UserError.
    """
    chosen = choose_splits(name, tables, options.test_split)
    train = chosen["train"]
    columns = find_columns(schema_of(train), options, where=train.where)
    check_columns(chosen, [columns.image, columns.label])
    for table in chosen.values():
        for where, schema in table.schemas.items():
            if not holds_images(schema, columns.image):
                raise _no_images(schema, columns.image, where)
    cell = next(train.chunks([columns.image], 1)).column(columns.image)[0].as_py()
    first = open_image(cell, where=train.place(0))
    form = native_form(first, channels=options.channels, resize=options.resize)
    height, width = to_array(first, form, where=train.place(0)).shape[:2]
    labels = read_labels(name, chosen, columns.label)
    return Selection(chosen, columns, labels, form, (form.channels, height, width))


def find_columns(schema: pa.Schema, options: ImageOptions, *, where: str) -> Columns:
    """Find the columns by the names in `options`, or else by type and name. Raises UserError."""
    image = image_column(schema, options.image_column, where)
    label = label_column(schema, options.label_column, where=where)
    if label not in schema.names:
        raise unknown("label_column", label, schema.names, where=where)
    return Columns(image, label, class_names(schema, label))


def holds_images(schema: pa.Schema, name: str) -> bool:
    """Whether the column `name` can hold encoded images."""
    kind: Any = schema.field(schema.names.index(name)).type
    feature = features(schema).get(name)
    is_struct = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
    is_image = isinstance(feature, dict) and feature.get("_type") == "Image"
    return is_image or is_struct or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _no_images(schema: pa.Schema, name: str, where: str) -> UserError:
    return UserError(f"column {name!r} ({schema.field(schema.names.index(name)).type}) holds no images", where=where)


def image_column(schema: pa.Schema, requested: str | None, where: str) -> str:
    """Return the column of encoded images: the `requested` one, or else one of the right type. Raises UserError."""
    if requested is not None:
        if requested not in schema.names:
            raise unknown("image_column", requested, schema.names, where=where)
        if not holds_images(schema, requested):
            raise _no_images(schema, requested, where)
        return requested
    found = [name for name in schema.names if holds_images(schema, name)]
    usual = [name for name in IMAGE_NAMES if name in found]
    if not found:
        raise UserError(
            f"none of the columns {', '.join(schema.names)} holds images",
            where=where,
            allowed="a column of encoded images: bytes, or a struct with a field `bytes`",
        )
    if len(found) > 1 and not usual:
        hint = f'dataset_args = {{ image_column = "{found[0]}" }}'
        raise UserError(f"several columns hold images: {', '.join(found)}", where=where, hint=hint)
    return usual[0] if usual else found[0]
