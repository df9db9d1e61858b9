"""Labels: a column of classes becomes the numbers 0 to classes - 1, the same in every split and file.

A column may hold whole numbers, booleans or strings, with or without class names from the `datasets` library. The
training split defines the classes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from grape_bench.data.tables import Table, class_names, schema_of
from grape_bench.errors import UserError

Indices = NDArray[np.int64]

LABEL_NAMES = ("label", "labels", "fine_label")
KINDS = "whole numbers, booleans or strings"
HIDDEN = 'if the test labels are hidden: dataset_args = { test_split = "validation" }'
SHOWN = 12
"""How many classes a message lists."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Labels:
    """The labels of each split (N,), and the number of classes.

    `values` is the column's value for each class. It is empty if the column holds class numbers.
    """

    of: dict[str, Indices]
    classes: int
    values: tuple[Any, ...] = ()


def label_column(schema: pa.Schema, requested: str | None, *, where: str) -> str:
    """Return the column that holds the labels: the `requested` one, or else one of the usual names."""
    found = [requested] if requested else [name for name in LABEL_NAMES if name in schema.names]
    if not found:
        hint = 'dataset_args = { label_column = "NAME" }'
        raise UserError(f"none of the columns {', '.join(schema.names)} holds labels", where=where, hint=hint)
    return found[0]


def read_labels(name: str, tables: Mapping[str, Table], column: str) -> Labels:
    """Read the labels of all splits. Raises UserError for missing labels, and for labels of several kinds.

    Whole numbers without gaps that start at 0 are class numbers. Other values are mapped to class numbers in sorted
    order, with a warning.
    """
    names = class_names(schema_of(tables["train"]), column)
    kind = _kind(name, tables, column)
    values = {split: _values(table, column, names, kind) for split, table in tables.items()}
    if kind == "whole numbers" and names:
        _say_other_order(tables, column, names)
        return Labels(values, len(names))
    if kind == "whole numbers" and _are_class_numbers(values):
        return Labels(values, int(values["train"].max()) + 1)
    known = np.unique(values["train"])
    found = {split: _positions(values[split], known, table) for split, table in tables.items()}
    log.warning("%s: %s", name, _mapping(column, known.tolist()))
    return Labels(found, len(known), tuple(known.tolist()))


def _say_other_order(tables: Mapping[str, Table], column: str, names: tuple[str, ...]) -> None:
    for table in tables.values():
        for where, schema in table.schemas.items():
            if class_names(schema, column) not in (None, names):
                log.warning("%s: its class names have another order, so its labels were matched by name", where)


def _mapping(column: str, known: list[Any]) -> str:
    shown = [f"{value!r} is class {number}" for number, value in enumerate(known[:SHOWN])]
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return f"the labels in column {column!r} were numbered: {', '.join(shown)}{more}"


def _kind(name: str, tables: Mapping[str, Table], column: str) -> str:
    """Return the kind of labels: "whole numbers", "booleans" or "strings". Raises UserError if files differ."""
    first: tuple[str, str] | None = None
    for table in tables.values():
        for where, schema in table.schemas.items():
            stored = schema.field(column).type
            kind = _kind_of(stored)
            if not kind:
                raise UserError(f"column {column!r} has type {stored}", where=where, allowed=KINDS)
            first = first or (kind, where)
            if kind != first[0]:
                what = f"the labels are {kind}, but those of {first[1]} are {first[0]}"
                raise UserError(what, where=where, allowed="labels of one kind in all files")
    if first is None:
        raise UserError("there is no file", where=name)
    return first[0]


def _kind_of(stored: pa.DataType) -> str:
    if pa.types.is_dictionary(stored):
        return _kind_of(stored.value_type)
    if pa.types.is_integer(stored):
        return "whole numbers"
    if pa.types.is_boolean(stored):
        return "booleans"
    if pa.types.is_string(stored) or pa.types.is_large_string(stored) or pa.types.is_string_view(stored):
        return "strings"
    return ""


def _values(table: Table, column: str, names: tuple[str, ...] | None, kind: str) -> NDArray[Any]:
    """Read the column of one split. If the file has class names other than `names`, its numbers are translated."""
    parts = list(_parts(table, column, names, kind))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def _parts(table: Table, column: str, names: tuple[str, ...] | None, kind: str) -> Iterator[NDArray[Any]]:
    row = 0
    for chunk in table.chunks([column], 100_000):
        labels = chunk.column(column)
        if labels.null_count:
            first = row + next(index for index, label in enumerate(labels) if not label.is_valid)
            raise UserError(f"rows without a label: {labels.null_count}", where=table.place(first))
        if pa.types.is_dictionary(labels.type):
            labels = labels.cast(labels.type.value_type)
        if kind == "whole numbers":
            yield _translated(_integers(labels, table.place(row)), class_names(chunk.schema, column), names, table)
        else:
            yield _simple(labels, bool if kind == "booleans" else object, table.place(row))
        row += len(labels)


def _integers(labels: Any, where: str) -> Indices:
    try:
        return np.asarray(labels.cast(pa.int64())).astype(np.int64)
    except pa.ArrowInvalid as error:
        raise UserError(f"a label is too large: {error}", where=where, allowed="numbers below 2 ** 63") from error


def _simple(labels: Any, dtype: type, where: str) -> NDArray[Any]:
    try:
        return np.asarray(labels.to_pylist(), dtype=dtype)
    except UnicodeDecodeError as error:
        raise UserError(f"a label is not UTF-8 text: {error}", where=f"after {where}") from error


def _translated(labels: Indices, own: tuple[str, ...] | None, names: tuple[str, ...] | None, table: Table) -> Indices:
    """Translate class numbers of a file with the class names `own` to positions in `names`."""
    # names [cat dog], own [dog cat]: the label 0 means dog, which is class 1.
    if own is None or own == names:
        return labels
    if names is None:
        raise UserError("the labels have class names, but those of the first file have none", where=table.where)
    strangers = [name for name in own if name not in names]
    if strangers:
        what = f"the class name {strangers[0]!r} is not in the first file of the training split"
        raise UserError(what, where=table.where, allowed=", ".join(names[:SHOWN]))
    positions = np.array([names.index(name) for name in own], dtype=np.int64)
    inside = (labels >= 0) & (labels < len(own))
    return np.where(inside, positions[np.where(inside, labels, 0)], -1)


def _are_class_numbers(values: Mapping[str, Indices]) -> bool:
    """Whether the labels are 0 to the largest label of the training split, without a gap."""
    last = values["train"].max()
    found = np.unique(np.concatenate([one[(one >= 0) & (one <= last)] for one in values.values()]))
    return bool(values["train"].min() >= 0 and len(found) == last + 1)


def _positions(values: NDArray[Any], known: NDArray[Any], table: Table) -> Indices:
    """Return the position of each value in the sorted array `known`. Raises UserError for a value that is not in it."""
    found = np.searchsorted(known, values).clip(max=len(known) - 1).astype(np.int64)
    strangers = np.flatnonzero(known[found] != values)
    if len(strangers):
        shown = ", ".join(map(str, known[:SHOWN].tolist())) + (", ..." if len(known) > SHOWN else "")
        raise UserError(
            f"no training sample has the label {values[strangers[:1]].tolist()[0]!r}",
            where=table.place(int(strangers[0])),
            allowed=shown,
            hint=HIDDEN,
        )
    return found
