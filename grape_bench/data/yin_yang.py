"""Yin-Yang: points of three classes. A network needs hidden layers that learn in order to classify them.

Source: Kriener, Göltz and Petrovici 2022, "The Yin-Yang dataset". The points are those that its authors published.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from grape_bench.data.labels import Labels
from grape_bench.data.options import SplitOptions, parse_options
from grape_bench.data.procedural import NOT_GENERATED, key_of, procedural_set
from grape_bench.data.rows import Facts, Samples

if TYPE_CHECKING:
    from grape_bench.data.dataset import DataSet

CLASSES, RADIUS, DOT = 3, 0.5, 0.1
SIZES = {"train": (5000, 42), "validation": (1000, 41), "test": (1000, 40)}
"""For each part, the number of points and the seed."""


def load(*, args: dict[str, Any], device: torch.device) -> DataSet:
    """Load points (4,), which are (x, y, 1 - x, 1 - y), in the classes yin, yang and dot. Argument: `limit`.

    Published accuracy of a 4-30-3 network: 97.6. With frozen lower weights it is 85.5, without a hidden layer 63.8.
    """
    options = parse_options(SplitOptions, "yin_yang", args, without=NOT_GENERATED)
    samples = generate()
    labels = Labels({part: one.target.numpy() for part, one in samples.items()}, CLASSES)
    facts = Facts(
        name="yin_yang", shape=(4,), key=key_of(samples), options=options, objective="classification", labels=labels
    )
    return procedural_set(facts, samples, device)


@cache
def generate() -> dict[str, Samples]:
    """Draw the points of every part, once per process and its forks."""
    return {part: draw(*size) for part, size in SIZES.items()}


def draw(count: int, seed: int) -> Samples:
    """Draw points. For each one, draw its class first, and then points until one has this class."""
    random = np.random.RandomState(seed)
    points, labels = np.zeros((count, 2)), np.zeros(count, dtype=np.int64)
    for row in range(count):
        labels[row] = random.randint(CLASSES)
        while True:
            x, y = random.rand(2) * 2 * RADIUS
            if np.hypot(x - RADIUS, y - RADIUS) <= RADIUS and class_of(x, y) == labels[row]:
                break
        points[row] = x, y
    inputs = np.concatenate([points, 1 - points], axis=1).astype(np.float32)
    return Samples((torch.from_numpy(inputs),), torch.from_numpy(labels))


def class_of(x: float, y: float) -> int:
    """Return the class of a point, numbered as by the authors. 2 means the dots."""
    right, left = (float(np.hypot(x - center * RADIUS, y - RADIUS)) for center in (1.5, 0.5))
    if right < DOT or left < DOT:
        return 2
    in_yin = right <= DOT or DOT < left <= RADIUS / 2 or (y > RADIUS and right > RADIUS / 2)
    return int(in_yin)
