"""The resolution floor of a table and of a plan."""

from typing import Any

import pytest

from grape_bench.report.text import caption
from grape_bench.score.cell import cells
from grape_bench.score.resolution import floors, planned
from grape_bench.score.table import score
from tests.score.records import make

# The paired differences are 10, 9, 11 points with a standard deviation of 1; 3 seeds detect 3.26 of them.
BP, DFA = (90, 91, 92), (80, 82, 81)


def runs(task: str = "a", **changes: Any) -> list[Any]:
    both = (("bp", BP), ("dfa", DFA))
    return [make(rule, s, x, task=task, **changes) for rule, row in both for s, x in enumerate(row)]


def test_a_floor_by_hand() -> None:
    grid = cells(runs())
    assert floors(grid, {"a": 3})["a"] == pytest.approx(3.264, abs=1e-3)
    assert floors(grid, {"a": 10})["a"] == pytest.approx(0.996, abs=1e-3)


def test_the_caption_states_it() -> None:
    said = "Resolution floor: a paired t-test of 3 seeds detects a difference of 3.3 points on a (80 % power)."
    assert said in caption(score(runs()))
    assert "Resolution floor" not in caption(score([make("bp"), make("dfa")])), "one seed has no spread"


def test_a_floor_of_another_metric_is_on_its_scale() -> None:
    metric = {"name": "rmse", "unit": "", "chance": 100.0}
    assert "detects a difference of 3.3 in minus its value on a" in caption(score(runs(metric=metric)))


def test_a_plan_uses_the_recorded_spread_and_says_where_there_is_none() -> None:
    _, *lines = planned({"a": 5, "b": 5, "c": 1}, runs())
    assert lines == [
        "  a, 5 seeds: 1.7 points",
        "  b, 5 seeds: 1.7 standard deviations of the paired difference",
        "  c, one seed: none",
    ]
