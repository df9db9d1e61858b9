import math

from grape_bench.score.formulas import credit, gap_closed, norm_acc


def test_worked_examples() -> None:
    # Chance 10, head-only 60, DFA 80, BP 90; a rule at 85.
    assert norm_acc(85.0, chance=10.0, bp=90.0) == 75 / 80
    assert credit(85.0, head_only=60.0, bp=90.0) == 25 / 30
    assert gap_closed(85.0, dfa=80.0, bp=90.0) == 0.5


def test_references_score_0_and_1() -> None:
    assert credit(60.0, head_only=60.0, bp=90.0) == 0
    assert credit(90.0, head_only=60.0, bp=90.0) == 1


def test_nothing_is_clipped() -> None:
    assert credit(45.0, head_only=60.0, bp=90.0) == -0.5
    assert gap_closed(100.0, dfa=80.0, bp=90.0) == 2.0
    assert norm_acc(2.0, chance=10.0, bp=90.0) == -0.1


def test_equal_references_give_nan() -> None:
    assert math.isnan(norm_acc(50.0, chance=10.0, bp=10.0))
    assert math.isnan(credit(50.0, head_only=90.0, bp=90.0))
    assert math.isnan(gap_closed(90.0, dfa=90.0, bp=90.0))


def test_a_missing_input_gives_nan() -> None:
    assert math.isnan(credit(math.nan, head_only=60.0, bp=90.0))
    assert math.isnan(credit(85.0, head_only=math.nan, bp=90.0))
    assert math.isnan(gap_closed(85.0, dfa=80.0, bp=math.nan))
