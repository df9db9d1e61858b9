"""The time that batched seeds could save."""

from dataclasses import replace

import pytest

from benchmarks.seeds import QUICKSTART, bound, training_share
from grape_bench.record.folder import read_records
from grape_bench.record.parts import Time


def test_the_bound_of_an_example() -> None:
    """Half of the time in training: two seeds at once take 1.5 units instead of 2."""
    assert bound(0.5, 2) == pytest.approx(2 / 1.5)
    assert bound(0.0, 100) == 1.0
    assert bound(0.75, float("inf")) == 4.0


def test_the_control_takes_no_training_steps() -> None:
    record = read_records(QUICKSTART)[0]
    trained = replace(record, time=Time(setup_s=0.0, train_s=3.0, evaluate_s=0.0, total_s=4.0, steps=10, samples=1))
    control = replace(record, time=Time(setup_s=0.0, train_s=1.0, evaluate_s=0.0, total_s=2.0, steps=0, samples=1))
    assert training_share([trained, control]) == 0.5
