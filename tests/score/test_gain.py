"""What tuning gains: paired by seed, for tuned rules that also ran untuned."""

from __future__ import annotations

import pytest

from grape_bench.record.record import Record
from grape_bench.score.gain import gains
from grape_bench.score.results import results
from tests.score.records import make


def rows(rule: str, tests: tuple[float, ...], trials: int) -> list[Record]:
    return [make(rule, seed, test, trials=trials) for seed, test in enumerate(tests)]


def test_the_gain_is_paired_by_seed() -> None:
    tuned = [*rows("bp", (90.0, 92.0, 94.0), 8), *rows("dfa", (80.0, 81.0), 8)]
    untuned = [*rows("bp", (89.0, 90.0), 1), *rows("dfa", (81.0, 81.0), 1)]
    found = {one.tuned.rule: one.difference for one in results(tuned, untuned=untuned).gains}
    assert (found["bp"].mean, found["bp"].n) == (1.5, 2), "of the two seeds that both have"
    assert found["bp"].half_width == pytest.approx(12.706 * 0.5, rel=1e-3)
    assert found["dfa"].mean == -0.5, "a search can lose"


def test_a_rule_without_untuned_runs_an_untuned_table_and_the_control_have_no_gain() -> None:
    tuned = [*rows("bp", (90.0,), 8), *rows("fa", (90.0,), 8), *rows("frozen", (50.0,), 8)]
    untuned = [*rows("bp", (89.0,), 1), *rows("frozen", (50.0,), 1)]
    assert [one.tuned.rule for one in gains(results(tuned).grid, untuned)] == ["bp"]
    assert not gains(results(untuned).grid, untuned)
