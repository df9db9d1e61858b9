import math
from typing import Any

import numpy as np
import pytest

from grape_bench.score.aggregate import bootstrap, interquartile_mean, norm_runs, task_mean
from grape_bench.score.cell import Cell, cells
from tests.score.records import make


def by_task(rule: str, **values: list[float]) -> dict[str, Cell]:
    records = [make(rule, seed, x, task=task) for task, row in values.items() for seed, x in enumerate(row)]
    return {cell.task: cell for cell in cells(records).values()}


def test_runs_by_hand() -> None:
    # chance 10, BP 90 on average: (50 - 10) / 80, (70 - 10) / 80.
    rule, bp = by_task("x", t=[50, 70])["t"], by_task("bp", t=[89, 91])["t"]
    assert list(norm_runs(rule, bp)) == [0.5, 0.75]


def test_mean_and_interquartile_mean_by_hand() -> None:
    runs = [np.array([0.0, 1.0]), np.array([0.5, 0.7, 0.9, 0.5, 0.5, 0.5])]
    assert task_mean(runs) == pytest.approx((0.5 + 0.6) / 2)
    # Sorted 0, .5, .5, .5, .5, .7, .9, 1: the middle four.
    assert interquartile_mean(runs) == pytest.approx((0.5 + 0.5 + 0.5 + 0.7) / 4)


def estimate(rule: dict[str, Cell], bp: dict[str, Cell], statistic: Any = task_mean, seed: int = 0) -> Any:
    return bootstrap(rule, bp, statistic, np.random.default_rng(seed))


def test_same_generator_same_digits_whatever_the_order() -> None:
    rule, bp = by_task("x", a=[50, 52, 51, 57, 53.3]), by_task("bp", a=[90, 91, 92, 93, 90.5])
    rule, bp = rule | by_task("x", b=[70, 75, 71.1, 79, 70.7]), bp | by_task("bp", b=[95, 96, 97, 98, 94.1])
    first = estimate(rule, bp)
    assert first == estimate(dict(reversed(rule.items())), bp) != estimate(rule, bp, seed=1)
    assert first.low < first.value < first.high
    shuffled = {task: Cell(task, "x", tuple(reversed(cell.records))) for task, cell in rule.items()}
    assert estimate(shuffled, bp) == first


def test_bp_is_1_without_doubt_and_one_seed_has_no_interval() -> None:
    bp = by_task("bp", a=[90, 91, 95], b=[80, 70, 75])
    assert estimate(bp, bp) == pytest.approx((1, 1, 1))
    value, low, high = estimate(by_task("x", a=[50]), by_task("bp", a=[90]))
    assert value == 0.5 and math.isnan(low) and math.isnan(high)


@pytest.mark.parametrize(("tasks", "seeds", "floor"), [(2, 3, 0.87), (2, 5, 0.90), (5, 5, 0.92)])
@pytest.mark.parametrize("statistic", [task_mean, interquartile_mean])
def test_coverage(tasks: int, seeds: int, floor: float, statistic: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """How often the interval holds the truth, 0.5, where all runs are normal around it."""
    monkeypatch.setattr("grape_bench.score.aggregate.RESAMPLES", 400)
    draw, hits, tries = np.random.default_rng(0), 0, 300
    for _ in range(tries):
        names = [f"t{i}" for i in range(tasks)]
        rule = by_task("x", **{name: list(50 + 2 * draw.normal(size=seeds)) for name in names})
        bp = by_task("bp", **{name: [90.0] * seeds for name in names})
        _, low, high = bootstrap(rule, bp, statistic, draw)
        hits += low <= 0.5 <= high
    print(tasks, seeds, statistic.__name__, hits / tries)
    assert floor - 0.04 < hits / tries < 0.985
