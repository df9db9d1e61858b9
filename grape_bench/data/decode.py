"""Decode images to uint8 arrays."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from grape_bench.errors import UserError

GRAY = ("1", "L", "LA")
DEEP = ("I", "F")


@dataclass(frozen=True)
class ImageForm:
    """The form to which every image of a set is decoded: `mode` L or RGB, and squares with side `resize` if given.

    Without `convert`, a color image in a grayscale set is an error. Color is never dropped silently.
    """

    mode: str
    resize: int | None
    convert: bool

    @property
    def channels(self) -> int:
        """1 or 3."""
        return 1 if self.mode == "L" else 3


def native_form(first: Image.Image, *, channels: int | None, resize: int | None) -> ImageForm:
    """Return the form of a set whose first image is `first`."""
    if channels is not None:
        return ImageForm("L" if channels == 1 else "RGB", resize, convert=True)
    return ImageForm("L" if first.mode in GRAY else "RGB", resize, convert=False)


def open_image(cell: Any, *, where: str) -> Image.Image:
    """Open the image in a table cell, which holds bytes or a struct of bytes and path. Raises UserError."""
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if data is None and isinstance(cell, dict) and cell.get("path") and Path(cell["path"]).is_file():
        try:
            data = Path(cell["path"]).read_bytes()
        except OSError as error:
            raise UserError(f"the image cannot be read: {error}", where=where) from error
    if data is None:
        raise UserError("the row has no image", where=where)
    try:
        return Image.open(io.BytesIO(data))
    except UnidentifiedImageError as error:
        raise UserError("PIL cannot read the image", where=where) from error
    except Exception as error:  # PIL's readers raise many types for a damaged file
        raise damaged(error, where=where) from error


def to_array(image: Image.Image, form: ImageForm, *, where: str) -> NDArray[np.uint8]:
    """Decode `image` to (H, W) or (H, W, 3) in `form`, rotated according to its EXIF orientation.

    Raises UserError for damaged images, images of more than 8 bits, and dropped color.
    """
    raw = "".join(str(tile[-1]) for tile in getattr(image, "tile", ()))  # PIL reads "RGB;16B" as RGB, with 8 bits
    if image.mode.startswith(DEEP) or re.search(";16[BLN]", raw):
        raise UserError(f"the image has more than 8 bits (mode {image.mode})", where=where, allowed="8-bit images")
    if form.mode == "L" and image.mode not in GRAY and not form.convert:
        hint = "dataset_args = { channels = 3 }, or 1 to convert all images to grayscale"
        raise UserError(f"found a color image (mode {image.mode}) in a grayscale data set", where=where, hint=hint)
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode != form.mode:
            image = image.convert(form.mode)
        if form.resize is not None and image.size != (form.resize, form.resize):
            image = ImageOps.fit(image, (form.resize, form.resize), Image.Resampling.BILINEAR)
        return np.asarray(image)
    except Exception as error:  # as in `open_image`
        raise damaged(error, where=where) from error


def damaged(error: Exception, *, where: str) -> UserError:
    """Return the error for an image that PIL cannot decode."""
    return UserError(f"the image is damaged: {str(error) or type(error).__name__}", where=where)


def stack(cells: list[Any], form: ImageForm, places: Callable[[int], str]) -> NDArray[np.uint8]:
    """Decode table cells to (N, C, H, W). `places` names the position of a cell in error messages.

    Raises UserError if the sizes differ.
    """
    images: list[NDArray[np.uint8]] = []
    for position, cell in enumerate(cells):
        where = places(position) + _file_of(cell)
        image = to_array(open_image(cell, where=where), form, where=where)
        if images and image.shape != images[0].shape:
            raise different_sizes(images[0].shape, image.shape, where=where)
        images.append(image)
    return join(images)


def stack_at_once(
    chunks: Iterator[list[Any]], form: ImageForm, places: Callable[[int, int], str]
) -> Iterator[NDArray[np.uint8]]:
    """Run `stack` on each chunk of table cells, in order, with one process per core.

    Threads do not help: for a small PNG, PIL spends only 3 % of its time in code that runs without the GIL. `places`
    names (the first row of a chunk, a position in the chunk) in error messages.
    """
    from joblib import Parallel, cpu_count, delayed
    from joblib.externals.loky import get_reusable_executor

    row, processes = 0, cpu_count()
    try:
        while together := list(islice(chunks, processes)):
            found = Parallel(n_jobs=processes)(delayed(_stacked)(cells, form) for cells in together)
            for cells, images in zip(together, found, strict=True):
                # A chunk that failed is decoded again here, where the error knows its place.
                yield stack(cells, form, partial(places, row)) if images is None else images
                row += len(cells)
    finally:
        get_reusable_executor().shutdown(wait=True)


def _stacked(cells: list[Any], form: ImageForm) -> NDArray[np.uint8] | None:
    """`stack`, or None if an image is damaged."""
    try:
        return stack(cells, form, str)
    except UserError:
        return None


def _file_of(cell: Any) -> str:
    """Return the name of the file that the image came from, if the cell has one."""
    path = cell.get("path") if isinstance(cell, dict) else None
    return f" ({path})" if path else ""


def join(images: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Join images (H, W) or (H, W, 3) of one size to (N, C, H, W)."""
    array = np.stack(images)
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2)) if array.ndim == 4 else array[:, None]


def different_sizes(first: tuple[int, ...], other: tuple[int, ...], *, where: str) -> UserError:
    """Return the error for a data set whose images have different sizes."""
    sizes = f"{first[0]}x{first[1]} and {other[0]}x{other[1]}"
    return UserError(f"the images have several sizes: {sizes}", where=where, hint="dataset_args = { resize = 64 }")
