"""How many blocks' worth of backpropagation a rule reaches."""

import math

import pytest

from grape_bench.score.cell import cells
from grape_bench.score.ladder import blocks_worth, climbed
from grape_bench.score.table import score
from tests.score.records import make

LADDER = [(0, 60.0), (1, 80.0), (4, 90.0)]


@pytest.mark.parametrize(
    ("score", "blocks"), [(50, 0), (60, 0), (70, 0.5), (80, 1), (85, 2.5), (90, 4), (90.1, math.inf)]
)
def test_a_score_between_two_rungs_is_interpolated(score: float, blocks: float) -> None:
    assert climbed(LADDER, score) == blocks


def test_a_ladder_with_a_dip_is_reached_at_its_first_rung() -> None:
    assert climbed([(0, 60), (1, 80), (2, 70), (3, 90)], 75) == 0.75


def ladder(seeds: range = range(2)) -> list:
    """Three blocks: 60, 80 with one, 90 with all. The rung of eight blocks is BP."""
    rungs = {"head-only": (60, {}), "last-1": (80, {"blocks": 1}), "bp": (90, {}), "last-8": (90, {"blocks": 8})}
    return [
        make(rule, seed, test + seed, rule_settings=settings)
        for rule, (test, settings) in rungs.items()
        for seed in seeds
    ]


def test_the_rungs_come_from_the_records() -> None:
    grid = cells([*ladder(), *(make("dfa", seed, 85 + seed) for seed in range(3))])
    assert blocks_worth(grid, "digits-mlp", "dfa") == 2, "over the two seeds that all have"
    assert blocks_worth(grid, "digits-mlp", "head-only") == 0 and blocks_worth(grid, "digits-mlp", "bp") == 3


def test_without_a_rung_or_a_common_seed_there_is_no_number() -> None:
    rule = make("dfa", 5, 85)
    for records in ([make("bp", 5), make("head-only", 5, 60), rule], [*ladder(), rule]):
        assert math.isnan(blocks_worth(cells(records), "digits-mlp", "dfa"))


def test_a_table_with_a_ladder_shows_it() -> None:
    with_ladder = score([*ladder(), *(make("dfa", seed, 85 + seed) for seed in range(2))])
    assert dict(zip(with_ladder["rule"], with_ladder["blocks_worth"], strict=True))["dfa"] == 2
    assert "blocks_worth" not in score([make(rule, 0, 80) for rule in ("bp", "dfa")])
