"""Turn a source's labeled splits into a DataSet: the validation cut, the limit, and the description.

The cuts are fixed. They are the same in every run and do not depend on its seed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from grape_bench.data.batches import PADDING, Transform
from grape_bench.data.dataset import DataSet, Split
from grape_bench.data.labels import HIDDEN, SHOWN, Indices, Labels
from grape_bench.data.options import VALIDATION, ImageOptions, SplitOptions
from grape_bench.errors import UserError

log = logging.getLogger(__name__)

SPLIT_SEED = 0
"""The seed of numpy's RandomState, which gives the same numbers in all versions."""

AUGMENTATIONS = ("augment_with", "rand_augment", "mixup", "cutmix")

UNCHECKED_CLASSES = 1000
"""Up to this number of classes, any class may have no sample."""

NOT_IN_FINGERPRINT = {"augment", *AUGMENTATIONS, "normalize", "memory_limit"}
"""Options that do not change which samples are in which split."""


@dataclass(frozen=True)
class Contents:
    """A source's content: the labels of `train`, `test` and optionally `validation`. `key` identifies its bytes."""

    name: str
    shape: tuple[int, ...]
    labels: Labels
    key: str


def assemble(
    contents: Contents,
    options: ImageOptions,
    fit_transform: Callable[[Indices], Transform],
    make_split: Callable[[str, Indices, Transform], Split],
) -> DataSet:
    """Return the data set whose splits are `make_split(source split, rows, transform)`.

    `fit_transform` gets the rows of the training samples, for their statistics. It never sees validation or test
    samples. Raises UserError for labels out of range and for images too small to augment.
    """
    name, shape = contents.name, contents.shape
    labels = contents.labels
    for split, one in labels.of.items():
        check_labels(one, labels.classes, where=f"{name}, {split} split")
    if len(np.unique(labels.of["train"])) == 1:
        raise UserError("all training samples have the same label", where=name, allowed="two classes or more")
    if options.augment != "none" and min(shape[1:]) <= PADDING:
        raise UserError(f"images of {shape[1]}x{shape[2]} are too small for augment", where=name)
    has_validation = "validation" in labels.of
    index, cut = train_and_validation(labels.of["train"], has_validation=has_validation, options=options)
    transform = fit_transform(index)
    plain = transform.without_augmentation()

    def whole(split: str) -> Split:
        return make_split(split, np.arange(len(labels.of[split])), plain)

    train = make_split("train", index, transform)
    validation = whole("validation") if has_validation else make_split("train", cut, plain)
    test = whole("test")
    sizes = {"train": len(train), "validation": len(validation), "test": len(test)}
    description = _description(contents, options, sizes) | _normalization(transform)
    used = {"validation": labels.of["train"][cut], **labels.of, "train": labels.of["train"][index]}
    description |= about_classes(name, labels, used)
    return DataSet(
        name=name,
        shape=shape,
        classes=labels.classes,
        train=train,
        validation=validation,
        test=test,
        description=description,
        mixed=transform.mix is not None,
    )


def stratified_cut(labels: Indices, fraction: float) -> tuple[Indices, Indices]:
    """Cut `fraction` of every class of `labels` (N,). Returns positions (kept, cut), both in a fixed random order.

    Raises UserError if either would be empty.
    """
    # labels [0 0 1 1], fraction 0.5, order [2 3 1 0]:
    #   class 0 is at [1 0] in this order, so position 1 is cut; class 1 is at [2 3], so position 2 is cut;
    #   both results keep the order: kept [3 0], cut [2 1].
    order = np.random.RandomState(SPLIT_SEED).permutation(len(labels)).astype(np.int64)
    is_cut = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        is_cut[members[: round(fraction * len(members))]] = True
    kept, cut = order[~is_cut[order]], order[is_cut[order]]
    if not len(kept) or not len(cut):
        raise UserError(
            f"a validation fraction of {fraction} of {len(labels)} samples leaves {len(kept)} for training and "
            f"{len(cut)} for validation",
            where="validation",
            hint="choose another fraction, as in dataset_args = { validation = 0.5 }",
        )
    return kept, cut


def train_and_validation(labels: Indices, *, has_validation: bool, options: SplitOptions) -> tuple[Indices, Indices]:
    """Return the positions of the training samples and of the validation samples in the source's training split.

    There are no validation positions if the source has a validation split. `limit` applies after the cut.
    """
    if has_validation:
        if options.validation is not None:
            hint = "remove `validation` from dataset_args"
            raise UserError("the source already has a validation split", where="validation", hint=hint)
        train = np.random.RandomState(SPLIT_SEED).permutation(len(labels)).astype(np.int64)
        validation = np.zeros(0, dtype=np.int64)
    else:
        train, validation = stratified_cut(labels, options.validation or VALIDATION)
    return train[: options.limit], validation


def classes_of(labels: Indices, *, where: str) -> int:
    """The number of classes of `labels`: one more than the largest. Raises UserError if most classes have no sample."""
    classes = int(labels.max()) + 1
    if classes > max(UNCHECKED_CLASSES, len(labels)):
        raise UserError(
            f"the largest label is {classes - 1}, but there are {len(labels)} labels",
            where=where,
            allowed="class numbers 0, 1, 2, ...",
        )
    return classes


def check_labels(labels: Indices, classes: int, *, where: str) -> None:
    """Raise UserError if a label is not in 0..classes-1."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise UserError(
            f"{len(wrong)} of {len(labels)} labels are out of range, first label {labels[wrong[0]]} in row {wrong[0]}",
            where=where,
            allowed=f"0 to {classes - 1}",
            hint=HIDDEN,
        )


def about_classes(name: str, labels: Labels, used: dict[str, Indices]) -> dict[str, Any]:
    """Describe anything unusual about the classes, and warn if a class is missing from a split. Often empty.

    `used` holds the labels of the samples in use.
    """
    missing = {split: np.setdiff1d(np.arange(labels.classes), one).tolist() for split, one in used.items()}
    missing = {split: classes for split, classes in missing.items() if classes}
    for split, classes in missing.items():
        shown = ", ".join(map(str, classes[:SHOWN])) + (", ..." if len(classes) > SHOWN else "")
        log.warning("%s: %d classes have no sample in the %s split: %s", name, len(classes), split, shown)
    found: dict[str, Any] = {"missing_classes": missing} if missing else {}
    return found | ({"class_values": list(labels.values)} if labels.values else {})


def _description(contents: Contents, options: ImageOptions, sizes: dict[str, int]) -> dict[str, Any]:
    relevant = options.model_dump(exclude=NOT_IN_FINGERPRINT)
    identity = json.dumps([contents.key, relevant, SPLIT_SEED, list(contents.shape)], sort_keys=True)
    return {
        "name": contents.name,
        "sizes": sizes,
        "shape": list(contents.shape),
        "classes": contents.labels.classes,
        "augment": options.augment,
        **{name: value for name in AUGMENTATIONS if (value := getattr(options, name))},
        **({"normalize": options.normalize} if options.normalize != "train" else {}),
        "fingerprint": sha256(identity.encode()).hexdigest(),
    }


def _normalization(transform: Transform) -> dict[str, Any]:
    """The mean and standard deviation that normalize each channel (gray levels 0 to 255 for images)."""
    values = {"mean": transform.mean, "std": transform.std}
    return {name: [round(number, 4) for number in value.flatten().tolist()] for name, value in values.items()}
