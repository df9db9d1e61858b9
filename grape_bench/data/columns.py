"""Read columns of numbers and categories as arrays. Every message names the file, the row and the column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from grape_bench.data.tables import Table
from grape_bench.errors import UserError

Values = NDArray[np.float64]

MISSING = ""
"""The category of an empty cell."""


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type holds one number per row. Booleans are 0 and 1."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of this type holds a list per row."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def one_kind(tables: Mapping[str, Table], column: str) -> str:
    """Return "numbers", "lists" or "text" for the type of `column` in all files. Raises UserError if they differ."""
    found: dict[str, str] = {}
    for table in tables.values():
        for where, schema in table.schemas.items():
            stored = schema.field(column).type
            kinds = {"true or false": pa.types.is_boolean, "numbers": is_number, "lists": is_list, "text": is_text}
            kind = next((name for name, test in kinds.items() if test(stored)), "")
            if not kind:
                raise UserError(f"column {column!r} has type {stored}", where=where, allowed="numbers, text or lists")
            found.setdefault(kind, where)
            if len(found) > 1:
                what = f"column {column!r} holds {kind}, but {next(iter(found))} in {next(iter(found.values()))}"
                raise UserError(what, where=where, allowed="one type in all files")
    kind = next(iter(found))
    return "numbers" if kind == "true or false" else kind


def cells(table: Table, column: str) -> list[Any]:
    """Return all cells of a column as Python values. Raises UserError for text that is not UTF-8."""
    found: list[Any] = []
    for chunk in table.chunks([column], 10_000):
        try:
            found += chunk.column(column).to_pylist()
        except (ValueError, pa.ArrowException) as error:
            what = f"column {column!r} holds a value that cannot be read: {error}"
            raise UserError(what, where=f"after {table.place(len(found))}") from error
    return found


def numbers(table: Table, column: str) -> Values:
    """Read a column of numbers (N,), or of lists of the same length (N, F). Raises UserError for missing numbers."""
    found = cells(table, column)
    for row, cell in enumerate(found):
        if cell is None or (isinstance(cell, list) and None in cell):
            raise UserError(f"column {column!r} has no number", where=table.place(row), hint="fill the cell")
        if isinstance(cell, list) and len(cell) != len(found[0]):
            what = f"column {column!r} has {len(cell)} numbers here and {len(found[0])} in the first row"
            raise UserError(what, where=table.place(row))
    try:
        values = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"column {column!r} does not hold numbers: {error}", where=table.where) from error
    bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))
    if len(bad):
        what = f"column {column!r} holds NaN or infinity in {len(bad)} rows"
        raise UserError(what, where=table.place(int(bad[0])), allowed="finite numbers")
    return values


def texts(table: Table, column: str) -> list[str]:
    """Read a column of text or of other simple values. An empty cell becomes `MISSING`."""
    return [MISSING if cell is None else str(cell) for cell in cells(table, column)]
