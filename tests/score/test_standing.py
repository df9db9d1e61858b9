"""The four words, on worked examples and in simulation."""

from __future__ import annotations

import math
from typing import Any

import pytest

from grape_bench.record.record import Record
from grape_bench.score.cell import cells
from grape_bench.score.references import References
from grape_bench.score.standing import BETTER, TIED, TOO_FEW, WORSE, Standing, standings, tied
from tests.score.records import make, with_parts

TASK = "digits-mlp"


def records_of(**values: list[float]) -> list[Record]:
    return [make(rule.replace("_", "-"), seed, x) for rule, row in values.items() for seed, x in enumerate(row)]


def standing(rule: str, records: list[Record]) -> dict[str, Standing]:
    grid = cells(records)
    return standings(grid[TASK, rule], References.of(grid, TASK))


BP, DFA, FROZEN = [90.0, 91.0, 92.0], [80.0, 80.9, 82.2], [60.0, 61.2, 61.9]


def test_each_word_by_hand() -> None:
    # fa - bp: -1, -1.1, -1.2 with t = -19; p = 0.003 and 0.0055 after Holm.
    found = standing("fa", records_of(bp=BP, dfa=DFA, frozen=FROZEN, fa=[89.0, 89.9, 90.8]))
    assert {name: each.word for name, each in found.items()} == {"bp": WORSE, "dfa": BETTER, "control": BETTER}
    # x - bp: 0.1, -0.2, 0.1. The margin is a tenth of about 30 points.
    found = standing("x", records_of(bp=BP, dfa=DFA, frozen=FROZEN, x=[90.1, 90.8, 92.1]))
    assert found["bp"].word == found["bp"].text == TIED
    # y - bp: -9, -1, -2: neither.
    found = standing("y", records_of(bp=BP, dfa=DFA, frozen=FROZEN, y=[81.0, 90.0, 90.0]))
    assert found["bp"].word == TOO_FEW and found["bp"].p > 0.05
    assert found["bp"].text == f"n too small ({found['bp'].needed})" and 3 < (found["bp"].needed or 0) < 30


def test_holm_counts_the_references_of_the_row() -> None:
    # x - bp: 1, 2, 3 has p = 0.0742 alone, and 0.0742 * 1 as the largest of the three.
    found = standing("x", records_of(bp=BP, dfa=DFA, frozen=FROZEN, x=[91.0, 93.0, 95.0]))
    assert found["bp"].p == pytest.approx(0.0741799, rel=1e-5) and found["bp"].word == TOO_FEW
    # 2, 3, 4 has p = 0.0351: enough alone, but not as the smaller of two.
    one = standing("x", records_of(bp=[90, 90, 90], x=[92.0, 93.0, 94.0]))["bp"]
    two = standing("x", records_of(bp=[90, 90, 90], dfa=[91.0, 94.0, 93.9], x=[92.0, 93.0, 94.0]))["bp"]
    assert one.word == BETTER and two.p == pytest.approx(2 * one.p) and two.word == TOO_FEW


def test_the_test_is_paired() -> None:
    # The seeds differ by 30 points, the rules by 1.0, 1.1 and 0.9 on each.
    assert standing("fa", records_of(bp=[50, 80, 95], fa=[49, 78.9, 94.1]))["bp"].word == WORSE


def test_a_row_depends_on_no_other_entrant() -> None:
    records = records_of(bp=BP, dfa=DFA, frozen=FROZEN, x=[78.0, 93.0, 95.0])
    assert standing("x", records) == standing("x", [*records, *records_of(y=[10.0, 99.0, 50.0])])


def test_references_are_not_compared_with_themselves() -> None:
    records = records_of(bp=BP, dfa=DFA, frozen=FROZEN)
    assert {rule: set(standing(rule, records)) for rule in ("bp", "dfa", "frozen")} == {
        "bp": {"dfa", "control"},
        "dfa": {"bp", "control"},
        "frozen": {"bp", "dfa"},
    }


def test_the_control_is_frozen_and_head_only_only_without_it() -> None:
    records = records_of(bp=BP, head_only=[40.0, 41.0, 42.1], x=[59.0, 60.4, 60.8])
    assert standing("x", records)["control"].word == BETTER
    assert standing("x", [*records, *records_of(frozen=FROZEN)])["control"].word == WORSE


def test_an_easy_control_makes_no_tie() -> None:
    # A tenth of BP - head-only would be a wide margin; without `frozen` there is none.
    near = records_of(bp=BP, x=[90.1, 90.8, 92.1])
    assert standing("x", [*near, *records_of(head_only=[40.0, 41.0, 42.1])])["bp"].word == TOO_FEW
    assert standing("x", [*near, *records_of(frozen=[40.0, 41.0, 42.1])])["bp"].word == TIED


def test_the_suite_declares_the_margin() -> None:
    values = {"bp": BP, "frozen": FROZEN, "x": [90.1, 90.8, 92.1]}

    def word(margin: float | None) -> str:
        rows = [make(rule, s, v, margin=margin) for rule, row in values.items() for s, v in enumerate(row)]
        return standing("x", rows)["bp"].word

    assert (word(None), word(0.1), word(0.005)) == (TIED, TIED, TOO_FEW)


def test_the_margin_counts_its_own_noise() -> None:
    """BP - frozen is 40, 2, 3: a tenth of its mean is 1.5, but the gap itself is not resolved."""
    rows = records_of(bp=[90, 91, 92], frozen=[50, 89, 89], x=[90.1, 90.9, 92.1])
    grid = cells(rows)
    assert not tied(grid[TASK, "x"], grid[TASK, "bp"], References.of(grid, TASK))


def test_a_rule_with_a_diverged_seed_is_never_tied() -> None:
    wide = records_of(bp=[90, 91, 92], frozen=[10.1, 10, 10], x=[11, 10.5, 10.2])
    assert standing("x", wide)["control"].word == TIED
    broken = [with_parts(r, status="diverged") if (r.rule, r.seed) == ("x", 0) else r for r in wide]
    assert standing("x", broken)["control"].word == TOO_FEW


def test_one_seed_says_nothing_and_knows_no_spread() -> None:
    found = standing("x", records_of(bp=[90.0], x=[10.0]))["bp"]
    assert (found.word, found.text, found.needed) == (TOO_FEW, TOO_FEW, None) and math.isnan(found.p)


def test_the_seeds_needed_use_the_spread_of_the_references() -> None:
    # Two seeds of x agree by luck. BP, DFA and frozen differ by about 10 points from seed to seed.
    wild: dict[str, Any] = {"bp": [80.0, 95.0], "dfa": [75.0, 70.0], "frozen": [60.0, 40.0]}
    lucky = standing("x", records_of(**wild, x=[82.0, 97.6]))["bp"]
    calm = standing("x", records_of(bp=[80.0, 95.0], x=[82.0, 97.6]))["bp"]
    assert lucky.word == calm.word == TOO_FEW
    assert (lucky.needed or 0) > 3 * (calm.needed or 0)


def test_pooled_by_hand() -> None:
    # bp - dfa: 10, 9, 11 with variance 1.
    grid = cells(records_of(bp=[90, 91, 92], dfa=[80, 82, 81]))
    assert References.of(grid, TASK).pooled == (pytest.approx(1.0), 2)
    assert References.of(cells(records_of(bp=[90, 91])), TASK).pooled[1] == 0


def test_a_spread_is_pooled_but_never_below_its_own() -> None:
    references = References.of(cells(records_of(bp=[90, 91, 92], dfa=[80, 82, 81])), TASK)  # variance 1, 2 degrees
    assert references.spread(0.5, 2) == pytest.approx(math.sqrt(0.75))
    assert references.spread(4.0, 2) == 2.0
    assert references.spread(math.nan, 0) == pytest.approx(1.0)
