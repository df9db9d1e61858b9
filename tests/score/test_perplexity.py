"""Perplexity, scored on the log scale."""

import math
from typing import Any

import pytest

from grape_bench.record.record import Record
from grape_bench.score.table import score
from tests.score.records import make


def cell(rule: str, *values: float, **changes: Any) -> list[Record]:
    metric = {"name": "perplexity", "unit": "", "chance": 100.0}
    return [make(rule, seed, value, metric=metric, **changes) for seed, value in enumerate(values)]


def test_worked_example() -> None:
    # Chance 100, head-only 50, BP 25, the rule 37.5.
    table = score([*cell("bp", 25), *cell("head-only", 50), *cell("x", 37.5)]).set_index("rule")
    assert table.loc["x", "credit"] == pytest.approx(math.log(50 / 37.5) / math.log(2))
    assert table.loc["x", "norm_acc"] == pytest.approx(math.log(100 / 37.5) / math.log(4))


def test_a_cell_is_the_exponential_of_the_mean_loss() -> None:
    # exp((ln 20 + ln 40) / 2) = sqrt(800); the interval's upper side is the longer one.
    (row,) = score(cell("bp", 20, 40)).to_dict("records")
    half = 12.7062 * math.log(2) / 2  # t(0.975, 1) * s / sqrt(2) with s = ln 2 / sqrt(2)
    assert row["perplexity"] == pytest.approx(math.sqrt(800))
    assert row["perplexity_ci"] == pytest.approx(math.sqrt(800) * (math.exp(half) - 1), rel=1e-4)
    assert math.isnan(row["accuracy"])


def test_lower_is_better_and_divergence_is_chance() -> None:
    records = [*cell("bp", 20, 21, 22), *cell("x", 30, 31, 33), *cell("y", 29, 30, 20, status="diverged")]
    table = score(records).set_index("rule")
    assert table.loc["bp", "best"] and not table.loc["x", "best"]
    assert table.loc["y", "perplexity"] == pytest.approx(100) and table.loc["y", "norm_acc"] == 0
