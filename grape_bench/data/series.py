"""Series (channels, length) with a class or a value to predict: sensors, sound, time series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from grape_bench.data.columns import cells, is_list, numbers
from grape_bench.data.dataset import DataSet
from grape_bench.data.labels import LABEL_NAMES, label_column, read_labels
from grape_bench.data.options import Count, Name, SplitOptions
from grape_bench.data.rows import Cut, Facts, Samples, cut_counts, cut_labels, row_set, standardized_targets
from grape_bench.data.tables import Table, check_columns, choose_splits, schema_of
from grape_bench.errors import UserError, unknown
from grape_bench.objectives.target import ONE_CLASS

SERIES_NAMES = ("series", "signal", "audio", "values")

Series = NDArray[np.float32]
"""One sample (channels, steps)."""


class SeriesOptions(SplitOptions):
    """The options of series."""

    series_column: Name | None = Field(None, description="the name of a column of lists")
    label_column: Name | None = Field(None, description="the name of a column of classes")
    target_column: Name | None = Field(None, description="the name of a column of numbers")
    length: Count | None = Field(None, description="a number of steps, 1 or more")
    """Cut longer series to this length. By default it is the length of the longest series."""
    pad: Literal["mask", "zero"] | None = Field(None, description="mask, zero")
    """Pad shorter series with zeros at the end. "mask" also gives the model `mask` (N, length), true for real steps."""


def series_set(name: str, tables: Mapping[str, Table], options: SeriesOptions, device: torch.device) -> DataSet:
    """Return the data set of a source's series, standardized per channel with the training samples.

    Raises UserError for numbers that are missing or not finite, and for different lengths without `pad`.
    """
    chosen = choose_splits(name, tables, options.test_split)
    train = chosen["train"]
    column = _series_column(train, options)
    target_column = options.target_column
    if target_column is None and not options.label_column and "target" in schema_of(train).names:
        target_column = "target" if not set(LABEL_NAMES) & set(schema_of(train).names) else None
    target_name = target_column or label_column(schema_of(train), options.label_column, where=train.where)
    check_columns(chosen, [column, target_name])
    target = ONE_CLASS
    if target_column:
        labels = None
        cut = cut_counts({split: table.rows for split, table in chosen.items()}, options)
        found = {split: numbers(table, target_column) for split, table in chosen.items()}
        targets, target = standardized_targets(found, cut)
    else:
        labels = read_labels(name, chosen, target_name)
        cut = cut_labels(name, labels, options)
        targets = {split: torch.from_numpy(one) for split, one in labels.of.items()}
    series = {split: read_series(table, column) for split, table in chosen.items()}
    length = _length(name, chosen, series, options)
    mean, std = _statistics(series["train"], cut)
    samples = {
        split: padded([(one - mean) / std for one in found], targets[split], length, with_mask=options.pad == "mask")
        for split, found in series.items()
    }
    facts = Facts(
        name=name,
        shape=(len(mean), length),
        key=" ".join(f"{split} {table.key}" for split, table in chosen.items()),
        options=options,
        objective="regression" if target_column else "classification",
        labels=labels,
        target=target,
        about=_cut_off(series, length)
        | {"mean": mean.flatten().round(4).tolist(), "std": std.flatten().round(4).tolist()},
    )
    return row_set(facts, samples, cut, device)


def _cut_off(series: Mapping[str, list[Series]], length: int) -> dict[str, Any]:
    """Return how many series are cut off, by split. Empty if none are."""
    counts = {split: sum(one.shape[1] > length for one in found) for split, found in series.items()}
    return {"cut_off": counts} if any(counts.values()) else {}


def _series_column(train: Table, options: SeriesOptions) -> str:
    schema = schema_of(train)
    if options.series_column is not None and options.series_column not in schema.names:
        raise unknown("series_column", options.series_column, schema.names, where=train.where)
    if options.series_column is not None:
        return options.series_column
    lists = [name for name in schema.names if is_list(schema.field(name).type)]
    usual = [name for name in SERIES_NAMES if name in lists]
    if not lists or (len(lists) > 1 and not usual):
        what = f"{len(lists)} of the columns {', '.join(schema.names)} hold lists"
        raise UserError(what, where=train.where, hint='dataset_args = { series_column = "NAME" }')
    return usual[0] if usual else lists[0]


def read_series(table: Table, column: str) -> list[Series]:
    """Read a column of lists of numbers, or of lists of channels. Raises UserError with the row."""
    return [_one_series(cell, column, table.place(row)) for row, cell in enumerate(cells(table, column))]


def _one_series(cell: Any, column: str, where: str) -> Series:
    if not cell:
        raise UserError(f"column {column!r} has no series", where=where)
    channels = cell if isinstance(cell[0], list) else [cell]
    if len({len(channel) for channel in channels}) > 1 or not channels[0]:
        lengths = ", ".join(str(len(channel)) for channel in channels)
        raise UserError(f"the channels of the series have the lengths {lengths}", where=where, allowed="one length")
    if any(value is None for channel in channels for value in channel):
        raise UserError(f"column {column!r} has a missing number", where=where, hint="fill the gap")
    try:
        series = np.asarray(channels, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise UserError(f"column {column!r} does not hold numbers: {error}", where=where) from error
    if series.ndim != 2:
        raise UserError(f"column {column!r} holds lists of {series.ndim} levels", where=where, allowed="1 or 2 levels")
    if not np.isfinite(series).all():
        raise UserError(f"column {column!r} holds NaN or infinity", where=where, allowed="finite numbers")
    return series


def _length(name: str, tables: Mapping[str, Table], series: Mapping[str, list[Series]], options: SeriesOptions) -> int:
    """Return the length of all samples. Raises UserError if padding is needed but not enabled."""
    channels = len(series["train"][0])
    length = options.length or max(one.shape[1] for found in series.values() for one in found)
    for split, found in series.items():
        for row, one in enumerate(found):
            if len(one) != channels:
                what = f"the series has {len(one)} channels, and the first one has {channels}"
                raise UserError(what, where=tables[split].place(row))
            if one.shape[1] < length and options.pad is None:
                raise UserError(
                    f"the series have several lengths: {one.shape[1]} and {length}",
                    where=tables[split].place(row),
                    allowed="series of one length, or `pad`",
                    hint='dataset_args = { pad = "mask" }, or "zero" for models that read no mask',
                )
    return length


def _statistics(train: list[Series], cut: Cut) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean and standard deviation (channels, 1) over all steps of the training samples in use."""
    steps = np.concatenate([train[row] for row in cut.train], axis=1).astype(np.float64)
    std = steps.std(1, keepdims=True)
    std[std == 0.0] = 1.0
    return steps.mean(1, keepdims=True).astype(np.float32), std.astype(np.float32)


def padded(series: list[Series], target: torch.Tensor, length: int, *, with_mask: bool) -> Samples:
    """Cut or pad series to (N, channels, length), with zeros at the end."""
    values = np.zeros((len(series), len(series[0]), length), dtype=np.float32)
    mask = np.zeros((len(series), length), dtype=bool)
    for row, one in enumerate(series):
        size = min(length, one.shape[1])
        values[row, :, :size], mask[row, :size] = one[:, :size], True
    return Samples((torch.from_numpy(values),), target, {"mask": torch.from_numpy(mask)} if with_mask else {})
