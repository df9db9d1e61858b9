"""Data sets whose samples are rows of tensors in memory: the splits, their batches, and the data set itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grape_bench.data.batches import batch_count, in_order, shuffled
from grape_bench.data.dataset import DataSet, Example
from grape_bench.data.labels import Indices, Labels
from grape_bench.data.options import SplitOptions
from grape_bench.data.partition import SPLIT_SEED, about_classes, check_labels, train_and_validation
from grape_bench.errors import UserError
from grape_bench.objectives.target import ONE_CLASS, Target

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Samples:
    """The samples of one source split: the model's inputs and the targets, each (N, ...)."""

    inputs: tuple[Tensor, ...]
    target: Tensor
    named: Mapping[str, Tensor] = field(default_factory=dict)
    """Keyword inputs of the model."""

    def to(self, device: torch.device) -> Samples:
        """Return the samples on `device`."""
        named = {name: value.to(device) for name, value in self.named.items()}
        return Samples(tuple(value.to(device) for value in self.inputs), self.target.to(device), named)


@dataclass(frozen=True, kw_only=True)
class RowSplit:
    """The rows `index` (n,) of `samples`, all on one device. See `Split`.

    `scored` is the number of targets that are scored: n, or the number of tokens.
    """

    samples: Samples
    index: Tensor
    scored: int
    process: tuple[int, int] = (0, 1)

    def __len__(self) -> int:
        return self.scored

    def for_process(self, index: int, count: int) -> RowSplit:
        """See `Split.for_process`."""
        return replace(self, process=(index, count))

    def batch_count(self, batch_size: int) -> int:
        """See `Split.batch_count`."""
        return batch_count(len(self.index), batch_size)

    def targets(self) -> Iterator[Tensor]:
        """See `Split.targets`."""
        yield self.samples.target[self.index]

    def batches(self, batch_size: int, *, generator: torch.Generator | None = None, skip: int = 0) -> Iterator[Example]:
        """See `Split.batches`."""
        rows, device = len(self.index), self.index.device
        order = in_order(rows, batch_size) if generator is None else shuffled(rows, batch_size, generator, None)
        order = order.skip(skip).for_process(*self.process)
        if not len(order.positions):
            return iter(())
        return map(self._example, torch.split(self.index[order.positions.to(device)], order.batch_size))

    def _example(self, rows: Tensor) -> Example:
        args = tuple(value[rows] for value in self.samples.inputs)
        kwargs = {name: value[rows] for name, value in self.samples.named.items()}
        return (args, kwargs), self.samples.target[rows]


@dataclass(frozen=True)
class Cut:
    """For each part of a data set, the source split that holds it, and the rows (n,)."""

    source: dict[str, str]
    rows: dict[str, Indices]

    @property
    def train(self) -> Indices:
        """The rows of the training samples in use."""
        return self.rows["train"]


def cut_labels(name: str, labels: Labels, options: SplitOptions) -> Cut:
    """Cut a source with classes. The validation part has the same share of every class.

    Raises UserError for labels out of range, and if all training samples have one class.
    """
    for split, one in labels.of.items():
        check_labels(one, labels.classes, where=f"{name}, {split} split")
    if len(np.unique(labels.of["train"])) == 1:
        raise UserError("all training samples have the same label", where=name, allowed="two classes or more")
    return _cut(labels.of, options)


def cut_counts(counts: Mapping[str, int], options: SplitOptions) -> Cut:
    """Cut a source without classes, given the rows of each split. The validation part is drawn from all rows."""
    return _cut({split: np.zeros(count, dtype=np.int64) for split, count in counts.items()}, options)


def _cut(labels: Mapping[str, Indices], options: SplitOptions) -> Cut:
    has_validation = "validation" in labels
    train, validation = train_and_validation(labels["train"], has_validation=has_validation, options=options)
    source = {"train": "train", "validation": "validation" if has_validation else "train", "test": "test"}
    if has_validation:
        validation = np.arange(len(labels["validation"]))
    return Cut(source, {"train": train, "validation": validation, "test": np.arange(len(labels["test"]))})


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Facts about a data set besides its samples. `key` identifies the bytes of its source.

    `about` goes into the record. `scored` is the number of scored targets of a part, if it is not the number of rows.
    """

    name: str
    shape: tuple[int, ...]
    key: str
    options: SplitOptions
    objective: str
    labels: Labels | None = None
    target: Target = ONE_CLASS
    vocabulary: int = 0
    classes: int = 0
    """The number of classes of targets without `labels`, such as the next token."""
    about: Mapping[str, Any] = field(default_factory=dict)
    scored: Mapping[str, int] = field(default_factory=dict)


def row_set(facts: Facts, samples: Mapping[str, Samples], cut: Cut, device: torch.device) -> DataSet:
    """Return the data set of `samples`, the tensors of each source split."""
    held = {split: one.to(device) for split, one in samples.items()}
    splits = {
        part: RowSplit(
            samples=held[cut.source[part]],
            index=torch.from_numpy(cut.rows[part]).to(device),
            scored=facts.scored.get(part, len(cut.rows[part])),
        )
        for part in PARTS
    }
    classes = facts.labels.classes if facts.labels else facts.classes
    return DataSet(
        name=facts.name,
        shape=facts.shape,
        classes=classes,
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        description=describe(facts, classes, {part: len(split) for part, split in splits.items()})
        | (_about_labels(facts, cut) if facts.labels else {}),
        objective=facts.objective,
        target=facts.target,
        vocabulary=facts.vocabulary,
    )


def describe(facts: Facts, classes: int, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Return the record's description of a data set."""
    identity = [facts.key, facts.options.model_dump(mode="json"), SPLIT_SEED, list(facts.shape)]
    return {
        "name": facts.name,
        "sizes": dict(sizes),
        "shape": list(facts.shape),
        **({"classes": classes} if classes else {}),
        "fingerprint": sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest(),
        **facts.about,
    }


def _about_labels(facts: Facts, cut: Cut) -> dict[str, Any]:
    labels = facts.labels
    assert labels is not None
    return about_classes(facts.name, labels, {part: labels.of[cut.source[part]][cut.rows[part]] for part in PARTS})


def standardization(values: Any) -> tuple[Any, Any]:
    """Return the mean and standard deviation of `values` (N, F) per feature. A constant feature has deviation 1."""
    mean, std = values.mean(0), values.std(0)
    return mean, np.where(std > 0, std, 1.0)


def standardized_targets(values: Mapping[str, Any], cut: Cut) -> tuple[dict[str, Tensor], Target]:
    """Standardize targets (N,) or (N, size) with the training rows. Returns them as (N, size), with a description."""
    columns = {split: one.reshape(len(one), -1) for split, one in values.items()}
    mean, scale = standardization(columns["train"][cut.train])
    tensors = {split: torch.from_numpy(((one - mean) / scale).astype(np.float32)) for split, one in columns.items()}
    return tensors, Target(size=len(mean), scale=tuple(map(float, scale)))
