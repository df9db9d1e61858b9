"""Sets of images too large to be kept whole."""

from __future__ import annotations

import datasets
import torch

from grape_bench.data.assemble import Contents, assemble
from grape_bench.data.batches import Preparation
from grape_bench.data.dataset import DataSet
from grape_bench.data.options import ImageOptions
from grape_bench.data.partition import Indices
from grape_bench.data.selection import Selection
from grape_bench.data.statistics import image_sums, preparation
from grape_bench.data.stream_split import EncodedImages, StreamSplit
from grape_bench.data.tables import ImageTable, read_labels

STATISTICS_SAMPLE = 4096
"""The normalisation is that of so many training images (the first of the fixed permutation)."""


def streamed(name: str, selection: Selection, options: ImageOptions, device: torch.device) -> DataSet:
    """The DataSet of the selected tables, decoded batch by batch; the batches end up on `device`."""
    labels = {part: read_labels(table, selection.columns.label) for part, table in selection.tables.items()}
    images = {part: _encoded(table, selection) for part, table in selection.tables.items()}
    pixels = selection.shape[1] * selection.shape[2]

    def statistics(rows: Indices) -> Preparation:
        sample = images["train"].__getitems__(rows[:STATISTICS_SAMPLE].tolist())
        return preparation(image_sums(sample.numpy()), pixels, options.augment, device)

    def split_of(part: str, rows: Indices, prepare: Preparation) -> StreamSplit:
        return StreamSplit(images[part], torch.from_numpy(labels[part]), torch.from_numpy(rows), prepare)

    classes = selection.class_count(labels["train"])
    contents = Contents(name, selection.shape, classes, labels, selection.key)
    return assemble(contents, options, statistics, split_of)


def _encoded(table: ImageTable, selection: Selection) -> EncodedImages:
    column = selection.columns.image
    rows = table.random_access().select_columns([column]).cast_column(column, datasets.Image(decode=False))
    return EncodedImages(rows, column, selection.form, selection.shape, table.where)
