"""Place names near their points, without covering another name, marker or line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grape_bench.report.figures import look
from grape_bench.report.figures.look import INK, SOFT

Point = tuple[float, float]
Boxes = npt.NDArray[np.float64]
"""(n, 4): left, bottom, right and top in pixels."""

DIRECTIONS = [math.tau * turn / 16 for turn in (1, 15, 2, 14, 0, 7, 9, 3, 13, 5, 11, 4, 12, 6, 10, 8)]
"""Where a name can go, best first: right of its point, above or below, then left."""
DISTANCES = (7, 10, 14, 19, 25, 32, 40, 50, 65, 80)
"""Points between a name and the middle of its marker. From `LEADER` on, a thin line joins them."""
LEADER = 14
MARKER, AROUND = 4.5, 2.0  # points from the middle of a marker to its edge, and on either side of a name


def name_points(axes: Axes, points: Sequence[Point], texts: Sequence[str], reach: float = math.inf) -> list[str]:
    """Write each name beside its point, given in data units. Returns the names without room within `reach` points.

    The layout of the figure must be final, because room is measured in pixels.
    """
    pixel = _pixel(axes)
    spots = [(float(x), float(y)) for x, y in axes.transData.transform(np.asarray(points, float).reshape(-1, 2))]
    taken = np.array([_around(spot, MARKER * pixel) for spot in spots]).reshape(-1, 4)
    lines = np.array(list(_along_lines(axes, pixel))).reshape(-1, 4)
    left = []
    # Where it is crowded, a name has the fewest places to go, so it goes first.
    for i in sorted(range(len(spots)), key=lambda i: _distance(spots, i)):
        size = _size(axes, texts[i])
        places = (place for place in _places(spots[i], size, axes, reach) if not _overlap(place, taken))
        # A leader line may cross other lines, but the name itself may not.
        found = next((place for place in places if not _overlap(place[:1], lines)), None)
        if found is None:
            left.append(texts[i])
            continue
        taken = np.vstack([taken, found])
        x, y = axes.transAxes.inverted().transform((found[0, 0] + AROUND * pixel, (found[0, 1] + found[0, 3]) / 2))
        axes.text(x, y, texts[i], transform=axes.transAxes, va="center", fontsize=look.small(), color=INK)
        if len(found) > 1:  # a leader line: from its first box to its last
            ends = axes.transData.inverted().transform([(box[:2] + box[2:]) / 2 for box in (found[1], found[-1])])
            axes.plot(*ends.T, color=SOFT, linewidth=0.6, zorder=1.5, scalex=False, scaley=False)
    return left


def _places(spot: Point, size: Point, axes: Axes, reach: float) -> Iterator[Boxes]:
    """The places within the panel, nearest first: the box of the name, then small boxes along its leader line."""
    pixel, room = _pixel(axes), axes.bbox
    for distance in (each for each in DISTANCES if each <= reach):
        for angle in DIRECTIONS:
            dx, dy = math.cos(angle), math.sin(angle)
            x, y = spot[0] + distance * pixel * dx, spot[1] + distance * pixel * dy
            start = (spot[0] + 1.5 * MARKER * pixel * dx, spot[1] + 1.5 * MARKER * pixel * dy)
            leader = _along(start, (x, y), pixel) if distance >= LEADER else []
            # The side or corner of the name that faces the point lies at (x, y). Near an edge, another place of its
            # lower or upper side may have room.
            for share in dict.fromkeys([(1 - dx) / 2, *([0.1, 0.9] if abs(dy) > 0.5 else [])]):
                low = (x - size[0] * share, y - size[1] * (1 - dy) / 2)
                name = (*low, low[0] + size[0], low[1] + size[1])
                if room.x0 <= name[0] and name[2] <= room.x1 and room.y0 <= name[1] and name[3] <= room.y1:
                    yield np.array([name, *leader])


def _overlap(some: Boxes, others: Boxes) -> bool:
    one, other = some[:, None], others[None]
    return bool(((one[..., :2] < other[..., 2:]) & (other[..., :2] < one[..., 2:])).all(-1).any())


def _size(axes: Axes, text: str) -> Point:
    """The width and height of a name in pixels, with some room on both sides."""
    drawn = axes.text(0, 0, text, fontsize=look.small())
    box = drawn.get_window_extent()
    drawn.remove()
    return box.width + 2 * AROUND * _pixel(axes), box.height


def _distance(spots: Sequence[Point], i: int) -> float:
    """The distance to the third nearest point, which is small where it is crowded."""
    every = sorted(math.dist(spots[i], other) for j, other in enumerate(spots) if j != i)
    return every[min(2, len(every) - 1)] if every else 0.0


def _along_lines(axes: Axes, pixel: float) -> Iterator[tuple[float, ...]]:
    """Small boxes along every line and interval of the panel."""
    lines = [line for line in axes.lines if line.get_linestyle() != "None"]
    paths = [line.get_transform().transform_path(line.get_path()) for line in lines]
    for collection in axes.collections:
        paths += [collection.get_transform().transform_path(path) for path in collection.get_paths()]
    for path in paths:
        for start, end in pairwise(np.asarray(path.vertices, float).tolist()):
            yield from _along(start, end, pixel)


def _along(start: Sequence[float], end: Sequence[float], pixel: float) -> list[tuple[float, ...]]:
    """Small boxes along a straight line."""
    steps = max(1, min(400, int(math.dist(start, end) / (3 * pixel))))
    shares = [step / steps for step in range(steps + 1)]
    (x, y), (to_x, to_y) = start, end
    return [_around((x + share * (to_x - x), y + share * (to_y - y)), pixel) for share in shares]


def _around(spot: Point, half: float) -> tuple[float, ...]:
    return spot[0] - half, spot[1] - half, spot[0] + half, spot[1] + half


def _pixel(axes: Axes) -> float:
    """Pixels per point."""
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    return float(figure.dpi) / 72
