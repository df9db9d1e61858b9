"""From a source's labelled splits to a DataSet: validation cut, limit, normalisation, description."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from grape_bench.data.augment import PADDING
from grape_bench.data.batches import Preparation
from grape_bench.data.dataset import DataSet, Split
from grape_bench.data.options import ImageOptions
from grape_bench.data.partition import SPLIT_SEED, Indices, check_labels, train_and_validation
from grape_bench.errors import UserError

NO_DIFFERENCE = ("augment", "memory_limit")
"""Options that change nothing of which samples are in which split."""


@dataclass(frozen=True)
class Contents:
    """What a source has: the labels of `train`, `test` and perhaps `validation`; `key` stands for its bytes."""

    name: str
    shape: tuple[int, ...]
    classes: int
    labels: dict[str, Indices]
    key: str


def assemble(
    contents: Contents,
    options: ImageOptions,
    statistics: Callable[[Indices], Preparation],
    split_of: Callable[[str, Indices, Preparation], Split],
) -> DataSet:
    """The three splits, each `split_of(part of the source, rows, preparation)`.

    `statistics` gives the normalisation from the rows of the training samples: nothing of validation or
    test enters it. Raises UserError for labels out of range and for images too small to be augmented.
    """
    name, shape = contents.name, contents.shape
    for part, labels in contents.labels.items():
        check_labels(labels, contents.classes, where=f"{name}, {part} split")
    if options.augment != "none" and min(shape[1:]) <= PADDING:
        raise UserError(f"images of {shape[1]}x{shape[2]} are too small for augment", where=name)
    has_validation = "validation" in contents.labels
    index, cut = train_and_validation(contents.labels["train"], has_validation=has_validation, options=options)
    prepare = statistics(index)

    def whole(part: str) -> Split:
        return split_of(part, np.arange(len(contents.labels[part])), prepare.plain())

    train = split_of("train", index, prepare)
    validation = whole("validation") if has_validation else split_of("train", cut, prepare.plain())
    test = whole("test")
    sizes = {"train": len(train), "validation": len(validation), "test": len(test)}
    about = _description(contents, options, sizes) | _normalisation(prepare)
    return DataSet(name, shape, contents.classes, train, validation, test, about)


def _description(contents: Contents, options: ImageOptions, sizes: dict[str, int]) -> dict[str, Any]:
    relevant = {name: value for name, value in asdict(options).items() if name not in NO_DIFFERENCE}
    identity = json.dumps([contents.key, relevant, SPLIT_SEED, list(contents.shape)], sort_keys=True)
    return {
        "name": contents.name,
        "sizes": sizes,
        "shape": list(contents.shape),
        "classes": contents.classes,
        "augment": options.augment,
        "fingerprint": sha256(identity.encode()).hexdigest(),
    }


def _normalisation(prepare: Preparation) -> dict[str, Any]:
    """Mean and standard deviation of the training samples (per channel, grey levels 0 to 255 for images)."""
    values = {"mean": prepare.mean, "std": prepare.std}
    return {name: [round(number, 4) for number in value.flatten().tolist()] for name, value in values.items()}
