"""Data sets of this test folder, counting tokens and a ring of nodes, with a model for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from grape_bench.data import load
from grape_bench.data.dataset import DataSet, Example
from grape_bench.data.names import DATASETS
from grape_bench.models.names import MODELS
from grape_bench.objectives.target import IGNORED, Target

VOCABULARY, LENGTH = 8, 6
NODES, CLASSES = 30, 3


@dataclass(frozen=True)
class Tokens:
    """Sequences that count upwards modulo the vocabulary, with a random start. Targets are shifted by one."""

    blocks: Tensor  # (n, LENGTH + 1)
    process: tuple[int, int] = (0, 1)

    def __len__(self) -> int:
        return len(self.blocks) * LENGTH

    def targets(self) -> Iterator[Tensor]:
        yield self.blocks[:, 1:]

    def batch_count(self, batch_size: int) -> int:
        return max(1, len(self.blocks) // batch_size)

    def batches(self, batch_size: int, *, generator: Any = None, skip: int = 0) -> Iterator[Example]:
        order = torch.arange(len(self.blocks))
        if generator is not None:
            order = torch.randperm(len(order), generator=generator)[: self.batch_count(batch_size) * batch_size]
        index, count = self.process
        for rows in torch.split(order, batch_size)[skip:]:
            block = self.blocks[rows[index::count]]
            yield ((), {"input_ids": block[:, :-1]}), block[:, 1:]

    def for_process(self, index: int, count: int) -> Tokens:
        return Tokens(self.blocks, (index, count))


@dataclass(frozen=True)
class Nodes:
    """A ring whose nodes have their class, with noise, as features. Only the nodes of `mask` have a target."""

    features: Tensor
    edges: Tensor
    labels: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return int(self.mask.sum())

    def targets(self) -> Iterator[Tensor]:
        yield self.labels.where(self.mask, IGNORED)

    def batch_count(self, batch_size: int) -> int:
        return 1

    def batches(self, batch_size: int, *, generator: Any = None, skip: int = 0) -> Iterator[Example]:
        if not skip:
            yield ((self.features, self.edges), {}), next(self.targets())

    def for_process(self, index: int, count: int) -> Nodes:
        return self


def counting(*, args: dict[str, Any], device: torch.device) -> DataSet:
    start = torch.arange(64) * 5 % VOCABULARY
    blocks = ((start[:, None] + torch.arange(LENGTH + 1)) % VOCABULARY).to(device)
    parts = [Tokens(blocks[rows]) for rows in (slice(0, 48), slice(48, 56), slice(56, 64))]
    description = {"name": "counting", "sizes": {"train": len(parts[0]), "test": len(parts[2])}}
    return DataSet(
        "counting", (LENGTH,), VOCABULARY, *parts, description, "next-token", Target(unit="character"), VOCABULARY
    )


def halves(*, args: dict[str, Any], device: torch.device) -> DataSet:
    """Digits with two classes, small and large, for one logit."""
    digits = load("digits", args={}, device=device)
    parts = [replace(split, labels=split.labels // 5) for split in (digits.train, digits.validation, digits.test)]
    return DataSet("halves", digits.shape, 2, *parts, digits.description, "binary")


def ring(*, args: dict[str, Any], device: torch.device) -> DataSet:
    labels = torch.arange(NODES) // (NODES // CLASSES)
    generator = torch.Generator().manual_seed(0)
    features = nn.functional.one_hot(labels, CLASSES) + 0.3 * torch.randn(NODES, CLASSES, generator=generator)
    here = torch.arange(NODES)
    edges = torch.stack([torch.cat([here, here]), torch.cat([(here + 1) % NODES, (here - 1) % NODES])])
    graph = [tensor.to(device) for tensor in (features, edges, labels)]
    parts = [Nodes(*graph, (here % 3 == part).to(device)) for part in range(3)]
    description = {"name": "ring", "sizes": {"train": 10, "validation": 10, "test": 10}}
    return DataSet("ring", (CLASSES,), CLASSES, *parts, description, "node-classification", Target(unit="node"))


class Language(nn.Module):
    """A model of `input_ids` that sees one token at a time."""

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, 16)
        self.layers = nn.Sequential(*(nn.Sequential(nn.Linear(16, 16), nn.Tanh()) for _ in range(2)))
        self.head = nn.Linear(16, classes)

    def forward(self, input_ids: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layers(self.embedding(input_ids)))
        return logits


class Convolution(nn.Module):
    """Mean over neighbors, then a linear map."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        source, end = edges
        made: Tensor = self.linear((x + torch.zeros_like(x).index_add(0, end, x[source])) / 3)
        return made


class Graph(nn.Module):
    """A model of (features, edges)."""

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Convolution(n_in, 16) for n_in in (shape[0], 16))
        self.head = Convolution(16, classes)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, edges).relu()
        made: Tensor = self.head(x, edges)
        return made


@contextmanager
def registered() -> Iterator[None]:
    """Know `counting`, `halves` and `ring` as data sets, and `language` and `graph` as models."""
    before = dict(DATASETS._objects), dict(MODELS._objects)
    DATASETS._objects.update(counting=counting, halves=halves, ring=ring)
    MODELS._objects.update(language=Language, graph=Graph)
    try:
        yield
    finally:
        DATASETS._objects, MODELS._objects = before
