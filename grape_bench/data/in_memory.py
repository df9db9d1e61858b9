"""Sets of images that are decoded once and kept whole."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import PIL
import torch

from grape_bench.data.array_split import ArraySplit
from grape_bench.data.assemble import Contents, assemble
from grape_bench.data.batches import Preparation
from grape_bench.data.cache import Decoded, cached
from grape_bench.data.dataset import DataSet
from grape_bench.data.decode import different_sizes, stack
from grape_bench.data.options import ImageOptions
from grape_bench.data.partition import Indices
from grape_bench.data.selection import Selection
from grape_bench.data.statistics import preparation
from grape_bench.data.tables import ImageTable, read_labels


def in_memory(name: str, selection: Selection, options: ImageOptions, device: torch.device) -> DataSet:
    """The DataSet of the selected tables, from the cache or decoded into it."""
    decoded = {part: _cached(table, selection) for part, table in selection.tables.items()}
    labels = {part: arrays.labels for part, arrays in decoded.items()}
    classes = selection.class_count(labels["train"])
    contents = Contents(name, selection.shape, classes, labels, selection.key)
    return from_arrays(contents, decoded, options, device)


def from_arrays(
    contents: Contents, decoded: dict[str, Decoded], options: ImageOptions, device: torch.device
) -> DataSet:
    """The DataSet of decoded images, one array per part on `device`, which the splits index."""
    images = {part: torch.from_numpy(arrays.images).to(device) for part, arrays in decoded.items()}
    labels = {part: torch.from_numpy(arrays.labels).to(device) for part, arrays in decoded.items()}
    pixels = contents.shape[1] * contents.shape[2]

    def statistics(rows: Indices) -> Preparation:
        return preparation(decoded["train"].sums[rows], pixels, options.augment, device)

    def split_of(part: str, rows: Indices, prepare: Preparation) -> ArraySplit:
        return ArraySplit(images[part], labels[part], torch.from_numpy(rows).to(device), prepare)

    return assemble(contents, options, statistics, split_of)


def _cached(table: ImageTable, selection: Selection) -> Decoded:
    form = [asdict(selection.columns), asdict(selection.form), PIL.__version__]
    arrays = cached(json.dumps([table.key, *form]), lambda: _decode(table, selection))
    if arrays.images.shape[1:] != selection.shape:
        raise different_sizes(selection.shape[1:], arrays.images.shape[2:], where=table.where)
    return arrays


def _decode(table: ImageTable, selection: Selection) -> Decoded:
    column, row = selection.columns.image, 0
    images = np.empty((table.rows, *selection.shape), dtype=np.uint8)
    for chunk in table.chunks([column]):
        part = stack(chunk.column(column).to_pylist(), selection.form, where=table.where, first_row=row)
        if part.shape[1:] != selection.shape:
            place = f"{table.where}, row {row}"
            raise different_sizes(selection.shape[1:], part.shape[2:], where=place)
        images[row : row + len(part)] = part
        row += len(part)
    return Decoded.of(images, read_labels(table, selection.columns.label))
