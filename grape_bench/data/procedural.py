"""Shared by generated data sets: their sizes, their seeds, and how samples become a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from pydantic import Field

from grape_bench.data.dataset import DataSet
from grape_bench.data.options import Count, SplitOptions
from grape_bench.data.rows import PARTS, Facts, Samples, cut_counts, cut_labels, row_set

NOT_GENERATED = ("validation", "test_split")
HELD_OUT = 1000
"""The number of validation samples, and of test samples."""

Draw = Callable[[np.random.RandomState, int], Samples]
"""Draws a given number of samples from a random generator."""


class ProceduralOptions(SplitOptions):
    """The options of a generated set of sequences."""

    length: Count = Field(50, description="a number of steps, 1 or more")
    samples: Count = Field(10_000, description="a number of training samples, 1 or more")


def draw_parts(seed: int, train: int, draw: Draw) -> dict[str, Samples]:
    """Draw the samples of every part. Each part has its own seed, so the test samples never depend on `train`."""
    sizes = dict(zip(PARTS, (train, HELD_OUT, HELD_OUT), strict=True))
    return {part: draw(np.random.RandomState(seed + i), sizes[part]) for i, part in enumerate(PARTS)}


def procedural_set(facts: Facts, samples: Mapping[str, Samples], device: torch.device) -> DataSet:
    """Return the data set of generated samples."""
    if facts.labels:
        cut = cut_labels(facts.name, facts.labels, facts.options)
    else:
        cut = cut_counts({part: len(one.target) for part, one in samples.items()}, facts.options)
    return row_set(facts, samples, cut, device)


def key_of(samples: Mapping[str, Samples]) -> str:
    """Return a digest of generated samples."""
    digest = sha256()
    for one in samples.values():
        for tensor in (*one.inputs, *one.named.values(), one.target):
            # Rounded, because the last bits of a float differ between processors.
            values: Any = tensor.numpy()
            digest.update(np.round(values, 4).tobytes())
    return digest.hexdigest()
