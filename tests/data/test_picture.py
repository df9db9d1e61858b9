"""A picture as a function of coordinates."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from grape_bench.data import DataSet
from grape_bench.data.picture import coordinates, grid_cut
from grape_bench.errors import UserError
from tests.data.sources import png
from tests.data.tables import write_columns

Load = Callable[..., DataSet]


def test_coordinates_are_the_centers_of_the_pixels() -> None:
    assert coordinates(2, 4).tolist() == [[y, x] for y in (-0.5, 0.5) for x in (-0.75, -0.25, 0.25, 0.75)]


def test_pixels_of_each_part() -> None:
    """The example in the comment of `grid_cut`."""
    assert {part: rows.tolist() for part, rows in grid_cut(2, 2).rows.items()} == {
        "train": [0],
        "validation": [1],
        "test": [3],
    }


def test_the_pixels_of_one_picture(tmp_path: Path, load_on_cpu: Load) -> None:
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    name = write_columns(tmp_path, {"image": [png(pixels[:2]), png(pixels)], "name": ["top", "all"]})
    data = load_on_cpu(name, kind="picture", picture="all")
    ((where,), _), values = next(data.test.batches(100))
    assert (data.objective, data.shape, data.target.size, data.target.unit) == ("picture", (2,), 3, "pixel")
    assert np.allclose(values.numpy() * 255, pixels[1::2, 1::2].reshape(-1, 3))
    assert where[0].tolist() == pytest.approx([-0.25, -0.5])
    assert data.description["sizes"] == {"train": 6, "validation": 6, "test": 6}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"picture": "tpo"}, "unknown picture 'tpo'; did you mean 'top'"),
        ({"picture": 3}, r"picture = 3[\s\S]*0 to 1"),
        ({"limit": 3}, "unknown argument 'limit'"),
        ({"picture": "damaged"}, r"row 1 of train.parquet: PIL cannot read the image"),
    ],
)
def test_bad_choices_are_refused(tmp_path: Path, load_on_cpu: Load, args: dict, said: str) -> None:
    picture = png(np.zeros((4, 4), dtype=np.uint8))
    name = write_columns(tmp_path, {"image": [picture, b"<html>"], "name": ["top", "damaged"]})
    with pytest.raises(UserError, match=said):
        load_on_cpu(name, kind="picture", **args)
