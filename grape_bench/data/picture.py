"""A picture as a function from coordinates (2,) to the channels (C,) of a pixel, from 0 to 1."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from grape_bench.data.columns import cells, is_text
from grape_bench.data.dataset import DataSet
from grape_bench.data.decode import native_form, open_image, to_array
from grape_bench.data.image_table import image_column
from grape_bench.data.options import Count, Name, SplitOptions
from grape_bench.data.rows import Cut, Facts, Samples, row_set
from grape_bench.data.tables import Table, schema_of
from grape_bench.errors import UserError, unknown
from grape_bench.objectives.target import Target

Pixels = NDArray[np.uint8]


class PictureOptions(SplitOptions):
    """The options of a picture."""

    picture: Name | int = Field(0, description="a name in the column `name`, or the number of a row")
    channels: Literal[1, 3] | None = Field(None, description="1 or 3")
    resize: Count | None = Field(None, description="a number of pixels, 2 or more")
    """Scale the shorter side to this many pixels, then crop the central square."""
    image_column: Name | None = Field(None, description="the name of a column")


def picture_set(name: str, table: Table, options: PictureOptions, device: torch.device) -> DataSet:
    """Return the data set of one picture.

    Training pixels have even rows and columns. Test pixels have odd rows and columns (Tancik et al. 2020, section 6),
    and validation pixels have even rows and odd columns.
    """
    row = _row(name, table, options.picture)
    column = image_column(schema_of(table), options.image_column, table.where)
    opened = open_image(cells(table, column)[row], where=table.place(row))
    form = native_form(opened, channels=options.channels, resize=options.resize)
    pixels = to_array(opened, form, where=table.place(row))
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if min(pixels.shape[:2]) < 2:
        raise UserError("the picture is too small", where=table.place(row), allowed="2x2 pixels or more")
    samples = Samples((torch.from_numpy(coordinates(*pixels.shape[:2])),), _values(pixels))
    cut = grid_cut(*pixels.shape[:2])
    facts = Facts(
        name=name,
        shape=(2,),
        key=table.key,
        options=options,
        objective="picture",
        target=Target(size=form.channels, unit="pixel"),
        about={"picture": options.picture, "height": pixels.shape[0], "width": pixels.shape[1]},
    )
    return row_set(facts, {"train": samples}, cut, device)


def coordinates(height: int, width: int) -> NDArray[np.float32]:
    """Return the center of each pixel (height * width, 2) as (down, right), from -1 to 1."""
    down, right = ((2 * np.arange(size) + 1) / size - 1 for size in (height, width))
    grid = np.stack(np.meshgrid(down, right, indexing="ij"), axis=-1)
    return grid.reshape(-1, 2).astype(np.float32)


def grid_cut(height: int, width: int) -> Cut:
    """Return the pixels of each part."""
    # In a 2x2 picture, pixel 0 trains, pixel 1 validates, pixel 3 tests, and pixel 2 is not used.
    numbers = np.arange(height * width, dtype=np.int64).reshape(height, width)
    rows = {"train": numbers[::2, ::2], "validation": numbers[::2, 1::2], "test": numbers[1::2, 1::2]}
    return Cut(dict.fromkeys(rows, "train"), {part: found.flatten() for part, found in rows.items()})


def _values(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(pixels.reshape(-1, pixels.shape[2]).astype(np.float32) / 255)


def _row(name: str, table: Table, picture: str | int) -> int:
    if isinstance(picture, int):
        if not 0 <= picture < table.rows:
            raise UserError(f"picture = {picture}", where=name, allowed=f"0 to {table.rows - 1}")
        return picture
    schema = schema_of(table)
    names = cells(table, "name") if "name" in schema.names and is_text(schema.field("name").type) else []
    if picture not in names:
        raise unknown("picture", picture, [str(one) for one in names], where=name)
    return names.index(picture)
