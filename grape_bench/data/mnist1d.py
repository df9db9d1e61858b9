"""MNIST-1D: ten one-dimensional digits that a program generates.

Source: Greydanus and Kobak, "Scaling down deep learning with MNIST-1D", ICML 2024. The recipe and its constants
come from the paper. The random numbers are ours, so single samples differ from the paper's.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from grape_bench.data.batches import ArraySplit, Transform
from grape_bench.data.labels import Indices, Labels
from grape_bench.data.options import IMAGES_ONLY, TABLE_ONLY, parse
from grape_bench.data.partition import Contents, assemble

if TYPE_CHECKING:
    from grape_bench.data.dataset import DataSet

Signals = NDArray[np.float64]

SEED, SAMPLES, TEST_SAMPLES, CLASSES, LENGTH = 42, 5000, 1000, 10, 40
PADDING, LONG, SCALE, TRANSLATION = (36, 60), 72, 0.4, 48
SMOOTH_NOISE, WHITE_NOISE, SHEAR = 0.25, 0.02, 0.75
TEMPLATES = np.array(
    [
        [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
        [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
        [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
        [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
        [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
        [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
        [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
        [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
    ]
)


def load(*, args: dict[str, Any], device: torch.device) -> DataSet:
    """Load 4,000 training and 1,000 test signals of shape (40,) in ten classes. Arguments: `limit`, `validation`."""
    options = parse("mnist1d", args, without=(*TABLE_ONLY, *IMAGES_ONLY))
    signals, labels = generate()
    cut = SAMPLES - TEST_SAMPLES
    rows_of = {"train": slice(0, cut), "test": slice(cut, SAMPLES)}
    samples = torch.from_numpy(signals.astype(np.float32)).to(device)
    targets = torch.from_numpy(labels).to(device)

    def fit_transform(rows: Indices) -> Transform:
        values = (signals[rows].mean(), signals[rows].std())
        mean, std = (torch.tensor(value, dtype=torch.float32, device=device) for value in values)
        return Transform(mean, std, "none")

    def make_split(split: str, rows: Indices, transform: Transform) -> ArraySplit:
        every, index = rows_of[split], torch.from_numpy(rows).to(device)
        return ArraySplit(samples=samples[every], labels=targets[every], index=index, transform=transform)

    # Rounded, because the last bits of a float differ between processors.
    key = sha256(np.round(signals, 4).tobytes()).hexdigest()
    split_labels = {split: labels[rows] for split, rows in rows_of.items()}
    contents = Contents("mnist1d", (LENGTH,), Labels(split_labels, CLASSES), key)
    return assemble(contents, options, fit_transform, make_split)


@cache
def generate() -> tuple[Signals, Indices]:
    """Generate signals (5000, 40) and labels (5000,) in a fixed random order, once per process and its forks."""
    random = np.random.RandomState(SEED)
    labels = random.permutation(np.arange(SAMPLES, dtype=np.int64) % CLASSES)
    shapes = TEMPLATES - TEMPLATES.mean(1, keepdims=True)
    shapes = shapes / shapes.std(1, keepdims=True)
    shapes = (shapes - shapes[:, :1]) / 6.0 + 1e-8  # starts near 0, but not at 0, which would mean padding
    padding = random.randint(PADDING[0], PADDING[1] + 1, SAMPLES)
    signals = np.stack([_dilate(shapes[y], zeros) for y, zeros in zip(labels, padding, strict=True)])
    signals *= 1 + SCALE * (random.rand(SAMPLES, 1) - 0.5)
    shift = random.randint(TRANSLATION, size=SAMPLES)
    signals = signals[np.arange(SAMPLES)[:, None], (np.arange(LONG) - shift[:, None]) % LONG]
    smooth = gaussian_filter1d(SMOOTH_NOISE * random.randn(SAMPLES, LONG), 2, axis=1)
    signals = np.where(signals != 0, signals, smooth) + WHITE_NOISE * random.randn(SAMPLES, LONG)
    signals -= SHEAR * (random.rand(SAMPLES, 1) - 0.5) * np.linspace(-0.5, 0.5, LONG)
    return np.stack([_resample(signal, LENGTH) for signal in signals]), labels


def _dilate(shape: Signals, zeros: int) -> Signals:
    return _resample(np.concatenate([shape, np.zeros(zeros)]), LONG)


def _resample(signal: Signals, length: int) -> Signals:
    grid: Signals = np.interp(np.linspace(0, 1, length), np.linspace(0, 1, len(signal)), signal)
    return grid
