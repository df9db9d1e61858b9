"""Turn a source's tables into a DataSet: decoded into memory if it fits, otherwise decoded batch by batch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import PIL
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from grape_bench.data.augment import load_augmentation
from grape_bench.data.batches import ArraySplit, OnDemandSplit, Transform
from grape_bench.data.cache import Decoded, Sums, cached, image_sums
from grape_bench.data.dataset import DataSet
from grape_bench.data.decode import ImageForm, different_sizes, stack, stack_at_once
from grape_bench.data.image_table import Selection, select
from grape_bench.data.labels import Indices
from grape_bench.data.mix import Mix
from grape_bench.data.normalization import of_checkpoint, of_training_images
from grape_bench.data.options import ImageOptions
from grape_bench.data.partition import Contents, assemble
from grape_bench.data.rand_augment import rand_augment
from grape_bench.data.tables import Table
from grape_bench.errors import UserError

STATISTICS_SAMPLE = 4096
"""Sets decoded batch by batch are normalized with this many training images, the first of the fixed permutation."""


MANY_PROCESSES = 2**24
"""With at least this many bytes of decoded images, starting several processes is faster than decoding in one."""


def image_set(name: str, tables: Mapping[str, Table], options: ImageOptions, device: torch.device) -> DataSet:
    """Return the data set of a source's splits. Raises UserError if something is missing or unreadable.

    Sets up to `options.memory_limit` are decoded once per machine and stay on the device.
    """
    selection = select(name, tables, options)
    if selection.bytes > options.memory_limit * 2**30:
        return _decoded_on_demand(name, selection, options, device)
    decoded = {split: _cached(table, selection) for split, table in selection.tables.items()}
    contents = Contents(name, selection.shape, selection.labels, selection.key)
    return from_arrays(contents, decoded, options, device)


def from_arrays(
    contents: Contents, decoded: dict[str, Decoded], options: ImageOptions, device: torch.device
) -> DataSet:
    """Return the data set of decoded images. Each source split is one array on `device`."""
    images = {split: torch.from_numpy(arrays.images).to(device) for split, arrays in decoded.items()}
    labels = {split: torch.from_numpy(one).to(device) for split, one in contents.labels.of.items()}

    def fit_transform(rows: Indices) -> Transform:
        return transform_of(contents, decoded["train"].sums[rows], options, device)

    def make_split(split: str, rows: Indices, transform: Transform) -> ArraySplit:
        index = torch.from_numpy(rows).to(device)
        return ArraySplit(samples=images[split], labels=labels[split], index=index, transform=transform)

    return assemble(contents, options, fit_transform, make_split)


def transform_of(contents: Contents, sums: Sums, options: ImageOptions, device: torch.device) -> Transform:
    """Return the transform of the training images, whose sums per channel are `sums`."""
    channels, height, width = contents.shape
    if options.normalize == "train":
        mean, std = of_training_images(sums, height * width)
    else:
        mean, std = of_checkpoint(options.normalize, channels)
    functions = [load_augmentation(options.augment_with)] if options.augment_with else []
    if options.rand_augment:
        functions.append(rand_augment(options.rand_augment, channels))
    mix = Mix(options.mixup, options.cutmix, contents.labels.classes) if options.mixup or options.cutmix else None
    return Transform(mean.to(device), std.to(device), options.augment, tuple(functions), mix)


def _cached(table: Table, selection: Selection) -> Decoded:
    form = [asdict(selection.columns), asdict(selection.form), PIL.__version__]
    arrays = cached(json.dumps([table.key, *form]), lambda: _decode(table, selection))
    if arrays.images.shape[1:] != selection.shape:
        raise different_sizes(selection.shape[1:], arrays.images.shape[2:], where=table.where)
    return arrays


def _decode(table: Table, selection: Selection) -> Decoded:
    column, row = selection.columns.image, 0
    images = np.empty((table.rows, *selection.shape), dtype=np.uint8)
    chunks = (chunk.column(column).to_pylist() for chunk in table.chunks([column]))
    decode = stack_at_once if images.nbytes >= MANY_PROCESSES else _one_by_one
    for decoded in decode(chunks, selection.form, partial(_place, table)):
        if decoded.shape[1:] != selection.shape:
            raise different_sizes(selection.shape[1:], decoded.shape[2:], where=table.place(row))
        images[row : row + len(decoded)] = decoded
        row += len(decoded)
    return Decoded.of(images)


def _one_by_one(
    chunks: Iterator[list[Any]], form: ImageForm, places: Callable[[int, int], str]
) -> Iterator[NDArray[np.uint8]]:
    row = 0
    for cells in chunks:
        yield stack(cells, form, partial(places, row))
        row += len(cells)


def _place(table: Table, first: int, position: int) -> str:
    return table.place(first + position)


def _decoded_on_demand(name: str, selection: Selection, options: ImageOptions, device: torch.device) -> DataSet:
    images = {split: EncodedImages.of(table, selection) for split, table in selection.tables.items()}
    contents = Contents(name, selection.shape, selection.labels, selection.key)

    def fit_transform(rows: Indices) -> Transform:
        sample = images["train"].decode(rows[:STATISTICS_SAMPLE].tolist())
        return transform_of(contents, image_sums(sample), options, device)

    def make_split(split: str, rows: Indices, transform: Transform) -> OnDemandSplit:
        every = torch.from_numpy(selection.labels.of[split])
        return OnDemandSplit(images=images[split], labels=every, index=torch.from_numpy(rows), transform=transform)

    return assemble(contents, options, fit_transform, make_split)


@dataclass(frozen=True)
class EncodedImages(Dataset[Tensor | UserError]):
    """Rows of a `datasets.Dataset` whose `column` holds images. Each access decodes them to `shape` (C, H, W).

    A worker process returns a UserError as a value, because the loader would turn a raised error into a traceback.
    """

    rows: Any
    column: str
    form: ImageForm
    shape: tuple[int, int, int]
    table: Table

    @classmethod
    def of(cls, table: Table, selection: Selection) -> EncodedImages:
        """Return the images of one split."""
        import datasets  # takes half a second to import, and only decoding batch by batch needs it

        column = selection.columns.image
        rows = table.random_access().select_columns([column]).cast_column(column, datasets.Image(decode=False))
        return cls(rows, column, selection.form, selection.shape, table)

    def __getitem__(self, row: int) -> Tensor | UserError:
        images = self.__getitems__([row])
        return images if isinstance(images, UserError) else images[0]

    def __getitems__(self, rows: list[int]) -> Tensor | UserError:
        """Decode rows to (N, C, H, W) uint8, or return the error."""
        try:
            return torch.from_numpy(self.decode(rows))
        except UserError as error:
            return error

    def decode(self, rows: list[int]) -> NDArray[np.uint8]:
        """Decode rows to (N, C, H, W). Raises UserError if an image is damaged or has another size."""
        images = stack(self.rows[rows][self.column], self.form, lambda position: self.table.place(rows[position]))
        if images.shape[1:] != self.shape:
            raise different_sizes(self.shape[1:], images.shape[2:], where=self.table.place(rows[0]))
        return images
