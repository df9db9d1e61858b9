"""Names beside points, measured by matplotlib's renderer."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grape_bench.report.figures.naming import name_points
from tests.report.figures.legible import covered


def panel(points: list[tuple[float, float]]) -> Axes:
    axes = Figure(figsize=(5, 3)).subplots()
    axes.plot(*zip(*points, strict=True), "o")
    axes.axvline(1.3)
    axes.figure.draw_without_rendering()
    return axes


def crowd(count: int) -> list[tuple[float, float]]:
    draw = np.random.default_rng(0)
    return [(float(x), float(y)) for x, y in draw.normal(1, 0.1, (count, 2))]


@pytest.mark.parametrize("count", [1, 4, 7])
def test_names_lie_over_no_other_name_marker_or_line(count: int) -> None:
    points = [*crowd(count), (2.0, 0.5)]
    axes = panel(points)
    left = name_points(axes, points, [f"rule-{i}" for i in range(len(points))])
    boxes = [text.get_window_extent() for text in axes.texts]
    assert left == [] and len(boxes) == len(points)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert covered(axes) == []
    (across,) = {x for line in axes.lines for x in line.get_xdata() if list(line.get_ydata()) == [0, 1]}
    at = axes.transData.transform((across, 0))[0]
    assert not any(box.x0 < at < box.x1 for box in boxes)


def test_a_name_without_room_is_left_out_and_returned() -> None:
    points = crowd(60)
    axes = panel(points)
    left = name_points(axes, points, [f"rule-{i}" for i in range(60)], reach=10)
    assert left and len(left) + len(axes.texts) == 60
    assert covered(axes) == []


def test_a_name_far_from_its_point_has_a_leader_line() -> None:
    points = [*crowd(12), (2.0, 0.5)]
    axes = panel(points)
    before = len(axes.lines)
    name_points(axes, points, [f"grape+anchor-{i}" for i in range(13)])
    assert before < len(axes.lines) < before + 12
