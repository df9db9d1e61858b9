"""Images decoded by several processes at once."""

import numpy as np
import pytest

from grape_bench.data.decode import ImageForm, stack, stack_at_once
from grape_bench.errors import UserError
from tests.data.sources import png

FORM = ImageForm("RGB", None, convert=False)


def chunks(count: int) -> list[list[bytes]]:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 3, 5, 4, 3), dtype=np.uint8)
    return [[png(image) for image in chunk] for chunk in pixels]


def place(row: int, position: int) -> str:
    return f"row {row + position}"


def test_they_are_those_of_one_process_in_their_order() -> None:
    cells = chunks(5)
    found = list(stack_at_once(iter(cells), FORM, place))
    assert np.array_equal(np.stack(found), [stack(one, FORM, str) for one in cells])


def test_a_damaged_image_is_named_by_its_row() -> None:
    cells = chunks(4)
    cells[2][1] = cells[2][1][:40]
    decoded = stack_at_once(iter(cells), FORM, place)
    assert len([next(decoded), next(decoded)]) == 2
    with pytest.raises(UserError, match="cannot read") as caught:
        next(decoded)
    assert caught.value.where == "row 7"
