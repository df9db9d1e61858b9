"""Claims: the three words by hand, and the checks of a claim's file."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from grape_bench.errors import UserError
from grape_bench.record.record import Record
from grape_bench.score.cell import cells
from grape_bench.score.claim import FAILS, HOLDS, OPEN, Claim, Observed, judge, overall, p_value
from grape_bench.score.inference import Interval, p_above, paired_t
from tests.score.records import make

TASK = "digits-mlp"
BP, FROZEN = [90.0, 91.0, 92.0], [60.0, 61.2, 61.9]  # the margin is a tenth of about 30 points
TEXTS = {"sentence": "A beats B.", "source": "a paper", "published": "2 points", "differs": "the size", "suite": "s"}


def claim(**keys: Any) -> Claim:
    return Claim.model_validate({**TEXTS, "tasks": (TASK,), "rule": "fa", "than": "dfa", **keys})


def records_of(**values: list[float]) -> list[Record]:
    return [make(rule, seed, x) for rule, row in values.items() for seed, x in enumerate(row)]


def word(one: Claim, **values: list[float]) -> str:
    return overall(judge(one, cells(records_of(bp=BP, frozen=FROZEN, **values))))


def test_above_holds_fails_or_stays_open() -> None:
    dfa = [80.0, 81.0, 82.0]
    assert word(claim(), dfa=dfa, fa=[84.0, 85.1, 85.9]) == HOLDS
    assert word(claim(), dfa=dfa, fa=[70.0, 71.1, 71.9]) == FAILS
    # A difference that is resolved to be smaller than the margin does not carry the claim.
    assert word(claim(), dfa=dfa, fa=[80.1, 81.0, 81.9]) == FAILS
    assert word(claim(), dfa=dfa, fa=[80.0, 85.0, 90.0]) == OPEN


def test_below_is_above_with_the_sides_changed() -> None:
    below = claim(direction="below", rule="dfa", than="fa")
    assert word(below, dfa=[80.0, 81.0, 82.0], fa=[84.0, 85.1, 85.9]) == HOLDS
    assert word(below, dfa=[84.0, 85.1, 85.9], fa=[80.0, 81.0, 82.0]) == FAILS


def test_not_below_allows_the_margin() -> None:
    keeps_up = claim(direction="not below", than="bp")
    assert word(keeps_up, fa=[89.0, 90.1, 90.9]) == HOLDS  # one point below, where three are allowed
    assert word(keeps_up, fa=[95.0, 96.0, 97.1]) == HOLDS
    assert word(keeps_up, fa=[80.0, 81.1, 81.9]) == FAILS
    assert word(claim(direction="not below", than="bp", margin=0.5), fa=[89.0, 90.1, 90.9]) == FAILS


def test_the_difference_has_to_exceed_by() -> None:
    sides = {"dfa": [80.0, 81.0, 82.0], "fa": [84.0, 85.1, 85.9]}
    assert word(claim(by=3.5), **sides) == HOLDS and word(claim(by=5.0), **sides) == FAILS


def test_two_seeds_tell_nothing() -> None:
    (seen,) = judge(claim(), cells(records_of(dfa=[80.0, 81.0], fa=[90.0, 91.0])))
    assert seen.word == OPEN and seen.reason == "fewer than 3 seeds" and seen.difference.mean == 10


def test_the_order_of_rules_below_untrained_features_tells_nothing() -> None:
    sides = {"dfa": [40.0, 41.0, 42.0], "fa": [50.0, 51.1, 51.9]}
    (seen,) = judge(claim(), cells(records_of(bp=BP, frozen=FROZEN, **sides)))
    assert seen.word == OPEN and seen.reason == "neither rule is above untrained features"
    assert word(claim(), **{**sides, "fa": [84.0, 85.1, 85.9]}) == HOLDS, "one of the two is above them"
    assert word(claim(than="frozen", direction="below"), fa=sides["fa"]) == HOLDS, "the control is one of the two"


def test_a_claim_that_these_runs_cannot_test_says_why() -> None:
    one = claim(untestable="two anchors here, 200 in the paper")
    (seen,) = judge(one, cells(records_of(bp=BP, frozen=FROZEN, dfa=[80.0, 81.0, 82.0], fa=[84.0, 85.1, 85.9])))
    assert seen.word == OPEN and seen.reason == one.untestable and seen.difference.mean == pytest.approx(4)


def test_a_claim_about_two_tasks_needs_both_and_fails_on_one() -> None:
    both = claim(tasks=(TASK, "other"))
    good, bad = [84.0, 85.1, 85.9], [70.0, 71.1, 71.9]
    for other, expected in ((good, HOLDS), (bad, FAILS)):
        records = records_of(bp=BP, frozen=FROZEN, dfa=[80.0, 81.0, 82.0], fa=good)
        rows = {"bp": BP, "frozen": FROZEN, "dfa": [80.0, 81.0, 82.0], "fa": other}
        records += [make(rule, seed, x, task="other") for rule, row in rows.items() for seed, x in enumerate(row)]
        assert overall(judge(both, cells(records))) == expected


def test_how_much_more_on_one_task_than_on_another() -> None:
    deep, shallow = (
        {"dfa": [50.0, 51.0, 52.0], "fa": [70.0, 71.0, 72.1]},
        {"dfa": [80.0, 81.0, 82.0], "fa": [84.0, 85.1, 86.0]},
    )
    records = records_of(**deep)
    records += [make(rule, seed, x, task="shallow") for rule, row in shallow.items() for seed, x in enumerate(row)]
    (seen,) = judge(claim(more_than_on="shallow", by=10), cells(records))
    assert seen.difference.mean == pytest.approx(16, abs=0.1) and seen.word == HOLDS


def test_a_rule_without_a_result_is_named_as_the_reason() -> None:
    (seen,) = judge(claim(), cells(records_of(dfa=[80.0, 81.0, 82.0])))
    assert (seen.word, seen.reason) == (OPEN, "a rule has no result") and math.isnan(seen.difference.mean)


def test_an_unknown_task_is_a_user_error() -> None:
    with pytest.raises(UserError, match="digits-mpl"):
        judge(claim(tasks=("digits-mpl",)), cells(records_of(dfa=[80.0])))


@pytest.mark.parametrize(
    "keys", [{"direction": "not below", "by": 1.0}, {"quantity": "signal_cos"}, {"margin": 0.0}, {"tasks": ()}]
)
def test_a_claim_that_means_nothing_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        claim(**keys)


def test_the_p_value_of_a_word_is_that_of_the_t_test_behind_it() -> None:
    dfa, fa = [80.0, 81.0, 82.0], [84.0, 85.1, 85.9]
    differences = [b - a for a, b in zip(dfa, fa, strict=True)]
    seen = judge(claim(), cells(records_of(bp=BP, frozen=FROZEN, dfa=dfa, fa=fa)))
    assert p_value(seen) == pytest.approx(paired_t(differences)) and overall(seen) == HOLDS
    (below,) = judge(claim(direction="below"), cells(records_of(bp=BP, frozen=FROZEN, dfa=dfa, fa=fa)))
    assert below.p_fails == pytest.approx(p_above(differences, -below.margin)) and below.word == FAILS


def test_a_claim_about_two_tasks_has_the_weaker_p_if_it_holds_and_the_stronger_if_it_fails() -> None:
    def seen(word: str, holds: float, fails: float) -> Observed:
        return Observed(TASK, word, Interval(1.0, 1.0, 3), 1.0, "", holds, fails)

    assert p_value([seen(HOLDS, 0.01, 1.0), seen(HOLDS, 0.04, 1.0)]) == 0.04
    assert p_value([seen(HOLDS, 0.01, 1.0), seen(FAILS, 1.0, 0.002)]) == 0.002
    untold = Observed(TASK, OPEN, Interval(1.0, 1.0, 2), 1.0, "fewer than 3 seeds")
    assert math.isnan(p_value([untold])) and math.isnan(p_value([seen(HOLDS, 0.01, 1.0), untold]))
    assert p_value([seen(FAILS, 1.0, 0.002), untold]) == 0.002, "one failure is enough"


def test_over_two_tasks_every_one_has_to_keep_up_and_one_failure_counts_half() -> None:
    """The chance that one of two equal rules fails by luck is twice that of one, so the level is halved."""
    bp, fa = [90.0, 91.0, 92.0, 93.0], [88.0, 84.0, 87.0, 86.0]
    values = {"bp": bp, "frozen": [60.0, 61.2, 61.9, 63.0], "dfa": bp, "fa": fa}
    both = [
        make(rule, s, x, task=task) for task in ("a", "b") for rule, row in values.items() for s, x in enumerate(row)
    ]
    keeps_up = {"direction": "not below", "than": "bp", "margin": 1.0}
    (alone,) = judge(claim(tasks=("a",), **keeps_up), cells(both))
    first, second = judge(claim(tasks=("a", "b"), **keeps_up), cells(both))
    assert first == replace(second, task="a")
    assert first.p_holds == alone.p_holds and first.p_fails == pytest.approx(2 * alone.p_fails)
    assert (alone.word, first.word) == (FAILS, OPEN)
