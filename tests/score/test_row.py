import math

from grape_bench.score.row import position


def test_worked_examples() -> None:
    # Chance 10, head-only 60, DFA 80, BP 90; a rule at 85: norm acc, credit, gap closed.
    assert position(85.0, 10.0, 90.0) == 75 / 80
    assert position(85.0, 60.0, 90.0) == 25 / 30
    assert position(85.0, 80.0, 90.0) == 0.5


def test_references_score_0_and_1() -> None:
    assert position(60.0, 60.0, 90.0) == 0
    assert position(90.0, 60.0, 90.0) == 1


def test_nothing_is_clipped() -> None:
    assert position(45.0, 60.0, 90.0) == -0.5
    assert position(100.0, 80.0, 90.0) == 2.0
    assert position(2.0, 10.0, 90.0) == -0.1


def test_equal_references_and_missing_inputs_give_nan() -> None:
    for value, low, high in (
        (50.0, 10.0, 10.0),
        (math.nan, 60.0, 90.0),
        (85.0, math.nan, 90.0),
        (85.0, 80.0, math.nan),
    ):
        assert math.isnan(position(value, low, high))
