"""Which columns of a table hold the images and the labels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from grape_bench.data.options import ImageOptions
from grape_bench.errors import UserError, unknown

IMAGE_NAMES = ("image", "img")
LABEL_NAMES = ("label", "labels", "fine_label")


@dataclass(frozen=True)
class Columns:
    """The image and the label column, and the names of the classes where the table tells them."""

    image: str
    label: str
    class_names: tuple[str, ...] | None


def find(schema: pa.Schema, options: ImageOptions, *, where: str) -> Columns:
    """The columns of `schema`, as `options` names them or by type and name; raises UserError."""
    features = _features(schema)
    image = _image_column(schema, features, options.image_column, where)
    label = _label_column(schema, options.label_column, where)
    names = features.get(label, {}).get("names") if isinstance(features.get(label), dict) else None
    return Columns(image, label, tuple(names) if names else None)


def _features(schema: pa.Schema) -> dict[str, Any]:
    metadata = (schema.metadata or {}).get(b"huggingface")
    features: dict[str, Any] = json.loads(metadata).get("info", {}).get("features", {}) if metadata else {}
    return features


def _image_column(schema: pa.Schema, features: dict[str, Any], asked: str | None, where: str) -> str:
    def holds_images(name: str) -> bool:
        kind, feature = schema.field(name).type, features.get(name)
        is_struct = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        is_image = isinstance(feature, dict) and feature.get("_type") == "Image"
        return is_image or is_struct or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

    if asked is not None:
        if asked not in schema.names:
            raise unknown("image_column", asked, schema.names, where=where)
        if not holds_images(asked):
            raise UserError(f"column {asked!r} ({schema.field(asked).type}) has no images", where=where)
        return asked
    found = [name for name in schema.names if holds_images(name)]
    named = [name for name in IMAGE_NAMES if name in found]
    if not found:
        raise UserError(
            f"no column of images among {', '.join(schema.names)}; tables of numbers or text are not read",
            where=where,
            allowed="a column of encoded images: bytes, or a struct with a field `bytes`",
        )
    if len(found) > 1 and not named:
        hint = f'dataset_args = {{ image_column = "{found[0]}" }}'
        raise UserError(f"several columns of images: {', '.join(found)}", where=where, hint=hint)
    return named[0] if named else found[0]


def _label_column(schema: pa.Schema, asked: str | None, where: str) -> str:
    if asked is not None and asked not in schema.names:
        raise unknown("label_column", asked, schema.names, where=where)
    found = [asked] if asked else [name for name in LABEL_NAMES if name in schema.names]
    if not found:
        hint = 'dataset_args = { label_column = "NAME" }'
        raise UserError(f"no column of labels among {', '.join(schema.names)}", where=where, hint=hint)
    if not pa.types.is_integer(schema.field(found[0]).type):
        kind = schema.field(found[0]).type
        raise UserError(f"column {found[0]!r} holds {kind}", where=where, allowed="whole numbers from 0")
    return found[0]
