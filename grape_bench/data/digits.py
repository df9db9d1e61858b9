"""The 8x8 digits that come with scikit-learn: needs no download."""

from __future__ import annotations

import importlib.util
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from grape_bench.data.assemble import Contents
from grape_bench.data.cache import Decoded
from grape_bench.data.decode import ImageForm, join, to_array
from grape_bench.data.in_memory import from_arrays
from grape_bench.data.options import TABLE_ONLY, ImageOptions, parse
from grape_bench.data.partition import stratified_cut
from grape_bench.errors import UserError

if TYPE_CHECKING:
    import torch

    from grape_bench.data.dataset import DataSet

SIDE, CLASSES, TEST = 8, 10, 0.2
SCALE = 15  # grey levels are 0 to 16: stretched to 0 to 240


def load(*, args: dict[str, Any], device: torch.device) -> DataSet:
    """1,797 images of (1, 8, 8), ten classes; a fixed fifth of every class is the test split.

    Source: Alpaydin and Kaynak 1998, UCI "Optical Recognition of Handwritten Digits", as in
    `sklearn.datasets.load_digits`. Raises UserError for unknown arguments.
    """
    options = parse("digits", args, without=TABLE_ONLY)
    grey, labels, key = read()
    pixels = _pixels(grey, options)
    train, test = stratified_cut(labels, TEST)
    decoded = {part: Decoded.of(pixels[rows], labels[rows]) for part, rows in (("train", train), ("test", test))}
    parts = {part: arrays.labels for part, arrays in decoded.items()}
    return from_arrays(Contents("digits", pixels.shape[1:], CLASSES, parts, key), decoded, options, device)


@cache
def read() -> tuple[NDArray[np.uint8], NDArray[np.int64], str]:
    """Images (1797, 8, 8), labels (1797,) and the file's SHA-256; read once in a process and its forks."""
    path = _file()
    table = np.loadtxt(path, delimiter=",", dtype=np.int64)
    images, labels = table[:, :-1].reshape(-1, SIDE, SIDE), table[:, -1]
    return (SCALE * images).astype(np.uint8), labels, sha256(path.read_bytes()).hexdigest()


def _pixels(grey: NDArray[np.uint8], options: ImageOptions) -> NDArray[np.uint8]:
    """Images (N, 8, 8) as (N, C, H, W); what needs no resizing goes without PIL, which takes half a second."""
    colours = options.channels or 1
    if options.resize is None:
        return grey[:, None].repeat(colours, 1)
    form = ImageForm("RGB" if colours == 3 else "L", options.resize, convert=True)
    return join([to_array(Image.fromarray(image), form, where="digits") for image in grey])


def _file() -> Path:
    """scikit-learn's table, read without importing it, which would take a second of every job."""
    package = importlib.util.find_spec("sklearn")
    path = Path(package.origin if package and package.origin else "").parent / "datasets" / "data" / "digits.csv.gz"
    if not path.is_file():
        raise UserError(f"scikit-learn has no {path}", where="digits", hint="pip install scikit-learn")
    return path
