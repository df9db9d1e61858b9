"""Fixed cuts of a labelled set: the same in every run, whatever its seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from grape_bench.data.options import VALIDATION, ImageOptions
from grape_bench.errors import UserError

Indices = NDArray[np.int64]

SPLIT_SEED = 0
"""Of numpy's RandomState, whose numbers never change between versions."""


def stratified_cut(labels: Indices, fraction: float) -> tuple[Indices, Indices]:
    """Positions (kept, cut) of `labels` (N,), `fraction` of every class cut; both in a fixed random order.

    Raises UserError where the fraction leaves one of the two empty.
    """
    order = np.random.RandomState(SPLIT_SEED).permutation(len(labels)).astype(np.int64)
    is_cut = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        is_cut[members[: round(fraction * len(members))]] = True
    kept, cut = order[~is_cut[order]], order[is_cut[order]]
    if not len(kept) or not len(cut):
        raise UserError(
            f"a fraction of {fraction} of {len(labels)} samples leaves {len(kept)} and {len(cut)}",
            where="validation",
            hint="another fraction, as in dataset_args = { validation = 0.5 }",
        )
    return kept, cut


def train_and_validation(labels: Indices, *, has_validation: bool, options: ImageOptions) -> tuple[Indices, Indices]:
    """Positions of the training and the validation samples in the source's training split.

    Nothing is cut (validation is empty) where the source has a validation split. `limit` comes after the cut.
    """
    if has_validation:
        if options.validation is not None:
            hint = "leave `validation` out of dataset_args"
            raise UserError("the source has a validation split of its own", where="validation", hint=hint)
        train = np.random.RandomState(SPLIT_SEED).permutation(len(labels)).astype(np.int64)
        validation = np.zeros(0, dtype=np.int64)
    else:
        train, validation = stratified_cut(labels, options.validation or VALIDATION)
    return train[: options.limit], validation


def check_labels(labels: Indices, classes: int, *, where: str) -> None:
    """Raise UserError where a label is not in 0..classes-1."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise UserError(
            f"label {labels[wrong[0]]} in row {wrong[0]}; {len(wrong)} of {len(labels)} labels are out of range",
            where=where,
            allowed=f"0 to {classes - 1}",
            hint='where the test labels are hidden: dataset_args = { test_split = "validation" }',
        )
