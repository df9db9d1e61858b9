"""Tables of numbers and categories: rows (features,), with a class or a value to predict.

The training rows in use define the standardization and the categories.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from grape_bench.data.columns import Values, numbers, one_kind, texts
from grape_bench.data.dataset import DataSet
from grape_bench.data.labels import LABEL_NAMES, Indices, read_labels
from grape_bench.data.options import Name, SplitOptions
from grape_bench.data.rows import (
    Cut,
    Facts,
    Samples,
    cut_counts,
    cut_labels,
    row_set,
    standardization,
    standardized_targets,
)
from grape_bench.data.tables import Table, check_columns, choose_splits, schema_of
from grape_bench.errors import UserError, unknown
from grape_bench.objectives.target import ONE_CLASS

TARGET_NAMES = ("target", "y")


class TableOptions(SplitOptions):
    """The options of a table."""

    label_column: Name | None = Field(None, description="the name of a column of classes")
    target_column: Name | None = Field(None, description="the name of a column of numbers")
    columns: list[Name] | None = Field(None, description="names of columns")
    """The columns that the model sees, by default all except the target."""
    categorical: list[Name] = Field([], description="names of columns")
    """Numeric columns that hold category codes. Text columns are always categories."""
    categories: Literal["one-hot", "ids"] = Field("one-hot", description="one-hot, ids")
    """"ids" gives the model (numbers (N, F), category ids (N, columns)), for models with embeddings."""


@dataclass(frozen=True)
class Categories:
    """The values of a categorical column in the training rows. Other values have no category."""

    column: str
    values: tuple[str, ...]

    def ids(self, found: list[str]) -> Indices:
        """Return the position of each value, counted from 1. It is 0 for a value that is not in the training rows."""
        known = {value: number for number, value in enumerate(self.values, start=1)}
        return np.array([known.get(value, 0) for value in found], dtype=np.int64)


def tabular_set(name: str, tables: Mapping[str, Table], options: TableOptions, device: torch.device) -> DataSet:
    """Return the data set of a source's tables.

    Raises UserError for missing columns, and for numbers that are missing or not finite.
    """
    chosen = choose_splits(name, tables, options.test_split)
    column, holds_classes = _target_column(chosen["train"], options)
    features = _feature_columns(chosen["train"], column, options)
    check_columns(chosen, [column, *features])
    if holds_classes:
        labels = read_labels(name, chosen, column)
        cut = cut_labels(name, labels, options)
        targets = {split: torch.from_numpy(one) for split, one in labels.of.items()}
        target = ONE_CLASS
    else:
        labels = None
        cut = cut_counts({split: table.rows for split, table in chosen.items()}, options)
        one_kind(chosen, column)
        found = {split: numbers(table, column) for split, table in chosen.items()}
        targets, target = standardized_targets(found, cut)
    is_category = {one: one in options.categorical or one_kind(chosen, one) == "text" for one in features}
    numeric = _numeric(chosen, [one for one in features if not is_category[one]], cut)
    categories, ids = _categorical(chosen, [one for one in features if is_category[one]], cut)
    key = " ".join(f"{split} {table.key}" for split, table in chosen.items())
    inputs, shape, vocabulary = _inputs(numeric, ids, categories, options)
    samples = {split: Samples(inputs[split], targets[split]) for split in chosen}
    unseen = {part: int((ids[cut.source[part]][cut.rows[part]] == 0).sum()) for part in cut.rows}
    about: dict[str, Any] = {"target": {"size": target.size, "scale": list(target.scale)}} if not holds_classes else {}
    facts = Facts(
        name=name,
        shape=shape,
        key=key,
        options=options,
        objective="classification" if holds_classes else "regression",
        labels=labels,
        target=target,
        vocabulary=vocabulary,
        about=about | ({"unseen_categories": unseen} if any(unseen.values()) else {}),
    )
    return row_set(facts, samples, cut, device)


def _target_column(train: Table, options: TableOptions) -> tuple[str, bool]:
    """Return the column to predict, and whether it holds classes."""
    names = schema_of(train).names
    for requested, option in ((options.label_column, "label_column"), (options.target_column, "target_column")):
        if requested is not None and requested not in names:
            raise unknown(option, requested, names, where=train.where)
    if options.label_column and options.target_column:
        raise UserError("both label_column and target_column are given", where=train.where, hint="remove one of them")
    if options.label_column:
        return options.label_column, True
    usual = [options.target_column] if options.target_column else [name for name in TARGET_NAMES if name in names]
    if usual:
        return usual[0], False
    found = [name for name in LABEL_NAMES if name in names]
    if not found:
        hint = 'dataset_args = { target_column = "NAME" } for a number, or label_column for a class'
        raise UserError(f"none of the columns {', '.join(names)} is the target", where=train.where, hint=hint)
    return found[0], True


def _feature_columns(train: Table, target: str, options: TableOptions) -> list[str]:
    names = [name for name in schema_of(train).names if name != target]
    for requested in [*(options.columns or []), *options.categorical]:
        if requested not in names:
            raise unknown("column", requested, names, where=train.where)
    features = [name for name in names if options.columns is None or name in options.columns]
    if not features:
        raise UserError("no column is left for the model to see", where=train.where)
    return features


def _numeric(tables: Mapping[str, Table], columns: list[str], cut: Cut) -> dict[str, Values]:
    """Return the numbers of all numeric columns (N, F), standardized with the training rows."""
    found: dict[str, Values] = {}
    for split, table in tables.items():
        parts = [numbers(table, column).reshape(table.rows, -1) for column in columns]
        found[split] = np.concatenate([np.zeros((table.rows, 0)), *parts], axis=1)
        if found[split].shape[1] != found["train"].shape[1]:
            sizes = f"{found[split].shape[1]} numbers per row, and {found['train'].shape[1]} in the training split"
            raise UserError(f"the lists give {sizes}", where=table.where)
    mean, std = standardization(found["train"][cut.train])
    return {split: (values - mean) / std for split, values in found.items()}


def _categorical(
    tables: Mapping[str, Table], columns: list[str], cut: Cut
) -> tuple[list[Categories], dict[str, Indices]]:
    """Return the categories of each column, and the ids of all cells (N, columns) by split."""
    found = {column: {split: texts(table, column) for split, table in tables.items()} for column in columns}
    categories = []
    for column, by_split in found.items():
        used = {by_split["train"][row] for row in cut.train}
        categories.append(Categories(column, tuple(sorted(used))))
    ids = {
        split: np.stack([one.ids(found[one.column][split]) for one in categories], axis=1)
        if categories
        else np.zeros((table.rows, 0), dtype=np.int64)
        for split, table in tables.items()
    }
    return categories, ids


def _inputs(
    numeric: dict[str, Values], ids: dict[str, Indices], categories: list[Categories], options: TableOptions
) -> tuple[dict[str, tuple[torch.Tensor, ...]], tuple[int, ...], int]:
    """Return the model's inputs by split, the shape of a sample, and the number of category ids."""
    sizes = [len(one.values) for one in categories]
    if options.categories == "one-hot":
        # Sizes [2 3], ids [1 3]: [1 0 | 0 0 1]. The id 0, a category that training rows do not have, gives zeros.
        one_hot = {
            split: np.concatenate(
                [np.zeros((len(one), 0)), *(np.eye(n + 1)[one[:, c]][:, 1:] for c, n in enumerate(sizes))], axis=1
            )
            for split, one in ids.items()
        }
        joint = {split: np.concatenate([numeric[split], one_hot[split]], axis=1) for split in numeric}
        return {split: (_tensor(one),) for split, one in joint.items()}, (joint["train"].shape[1],), 0
    if not categories:
        raise UserError('categories = "ids" needs a column of categories', where="dataset_args")
    # All columns share one embedding table: each has its own range of ids, and its first id means "unseen".
    starts = np.cumsum([0, *(size + 1 for size in sizes)])
    shifted = {split: one + starts[:-1] for split, one in ids.items()}
    both: dict[str, tuple[torch.Tensor, ...]] = {
        split: (_tensor(numeric[split]), torch.from_numpy(shifted[split])) for split in numeric
    }
    return both, (numeric["train"].shape[1],), int(starts[-1])


def _tensor(values: Values) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))
