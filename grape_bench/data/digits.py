"""The 8x8 digits that ship with scikit-learn. They need no download."""

from __future__ import annotations

import importlib.util
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from grape_bench.data.cache import Decoded
from grape_bench.data.decode import ImageForm, join, to_array
from grape_bench.data.images import from_arrays
from grape_bench.data.labels import Labels
from grape_bench.data.options import TABLE_ONLY, ImageOptions, parse
from grape_bench.data.partition import Contents, stratified_cut
from grape_bench.errors import UserError

if TYPE_CHECKING:
    import torch

    from grape_bench.data.dataset import DataSet

SIDE, CLASSES, TEST = 8, 10, 0.2
SCALE = 15  # stretches the gray levels from 0..16 to 0..240


def load(*, args: dict[str, Any], device: torch.device) -> DataSet:
    """Load 1,797 images of shape (1, 8, 8) in ten classes. A fixed fifth of every class is the test split.

    Source: Alpaydin and Kaynak 1998, UCI "Optical Recognition of Handwritten Digits", as in
    `sklearn.datasets.load_digits`. Raises UserError for unknown arguments.
    """
    options = parse("digits", args, without=(*TABLE_ONLY, "normalize"))
    gray, labels, key = read()
    pixels = _pixels(gray, options)
    train, test = stratified_cut(labels, TEST)
    rows_of = {"train": train, "test": test}
    decoded = {split: Decoded.of(pixels[rows]) for split, rows in rows_of.items()}
    split_labels = {split: labels[rows] for split, rows in rows_of.items()}
    contents = Contents("digits", pixels.shape[1:], Labels(split_labels, CLASSES), key)
    return from_arrays(contents, decoded, options, device)


@cache
def read() -> tuple[NDArray[np.uint8], NDArray[np.int64], str]:
    """Read images (1797, 8, 8), labels (1797,) and the file's SHA-256, once per process and its forks."""
    path = _file()
    table = np.loadtxt(path, delimiter=",", dtype=np.int64)
    images, labels = table[:, :-1].reshape(-1, SIDE, SIDE), table[:, -1]
    return (SCALE * images).astype(np.uint8), labels, sha256(path.read_bytes()).hexdigest()


def _pixels(gray: NDArray[np.uint8], options: ImageOptions) -> NDArray[np.uint8]:
    """Turn images (N, 8, 8) into (N, C, H, W). PIL takes half a second, so only resizing uses it."""
    channels = options.channels or 1
    if options.resize is None:
        return gray[:, None].repeat(channels, 1)
    form = ImageForm("RGB" if channels == 3 else "L", options.resize, convert=True)
    return join([to_array(Image.fromarray(image), form, where="digits") for image in gray])


def _file() -> Path:
    """Find scikit-learn's table without importing scikit-learn, which would add a second to every job."""
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise UserError("scikit-learn is not installed", where="digits", hint="pip install scikit-learn")
    path = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if not path.is_file():
        hint = "pip install --force-reinstall scikit-learn"
        raise UserError(f"scikit-learn has no {path}", where="digits", hint=hint)
    return path
