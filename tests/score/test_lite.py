"""A lite row: one seed beside recorded rows of more seeds."""

from __future__ import annotations

import math
from typing import Any

import pytest

from grape_bench.record.record import Record
from grape_bench.report.text import names_of
from grape_bench.score.lite import Lite
from grape_bench.score.table import score
from tests.score.records import make

TESTS = {"bp": 90.0, "dfa": 80.0, "fa": 75.0, "frozen": 60.0}
MINE = Lite(frozenset({"mine"}), tasks=3)


def recorded(task: str = "digits-mlp") -> list[Record]:
    """Three seeds of every rule. Each seed gives 4 points more than the one before."""
    return [make(rule, seed, test + 4 * seed, task=task) for rule, test in TESTS.items() for seed in range(3)]


def row(rule: str, records: list[Record], lite: Lite = MINE) -> dict[Any, Any]:
    table = score(records, lite).reset_index()
    return dict(table[table["rule"] == rule].iloc[0])


def test_its_scores_use_its_own_seed_of_the_references() -> None:
    mine = row("mine", [*recorded(), make("mine", 0, 75.0)])
    assert (mine["n"], mine["accuracy"], mine["draft"]) == (1, 75.0, True)
    assert mine["credit"] == pytest.approx(15 / 30), "over the mean of BP and frozen it would be 11 / 30"
    assert mine["gap_closed"] == pytest.approx(-5 / 10)
    assert math.isnan(row("mine", [*recorded(), make("mine", 0, 75.0)], Lite())["credit"]), "as a full row it has none"


def test_it_gets_no_words_and_is_never_the_best() -> None:
    records = [*recorded(), make("mine", 0, 99.9)]
    mine = row("mine", records)
    assert {mine[name] for name in ("vs_bp", "vs_dfa", "vs_control")} == {""} and math.isnan(mine["p_best"])
    assert score(records, MINE).attrs["best"]["digits-mlp"].startswith("best: bp;")
    assert score(records).attrs["best"]["digits-mlp"].startswith("best: mine;"), "a full row is ranked"


def test_it_changes_no_recorded_row() -> None:
    alone, beside = score(recorded()), score([*recorded(), make("mine", 0, 99.9)], MINE)
    assert beside[beside["rule"] != "mine"][list(alone)].reset_index(drop=True).equals(alone.reset_index(drop=True))


def test_no_credit_where_bp_is_not_above_the_control() -> None:
    level = [make(rule, seed, 90.0 + (-1) ** seed, task="digits-mlp") for rule in ("bp", "frozen") for seed in range(3)]
    assert math.isnan(row("mine", [*level, make("mine", 0, 75.0)])["credit"])


def test_the_mean_credit_is_over_common_pairs_and_lite_rules_come_last() -> None:
    other = [record for record in recorded("second") if record.rule != "fa"]
    runs = [make("mine", 0, test, task=task) for task, test in (("digits-mlp", 75.0), ("second", 90.0))]
    third = recorded("third")  # the lite rule did not run here
    tasks, credit = score([runs[0], *recorded(), *other, runs[1], *third], MINE).attrs["mean_credit"]
    assert tasks == ["digits-mlp", "second"]
    assert credit == pytest.approx({"bp": 1.0, "dfa": 20 / 30, "frozen": 0.0, "mine": 0.75})
    assert list(credit)[-1] == "mine", "and fa, which lacks a task, has no mean"


def test_it_is_marked_and_the_caption_says_why() -> None:
    table = score([*recorded(), make("mine", 0, 75.0)], MINE)
    assert names_of(table)["mine"] == "mine‡" and names_of(table)["bp"] == "bp"
    assert table.attrs["stated"][0].startswith("‡ lite: one seed, 1 of 3 tasks.")


def test_no_credit_where_bp_failed_on_its_seed() -> None:
    """BP gains 30 points on most seeds, and 0.1 on the lite row's. Five points would be a credit of 50."""
    records = [make("bp", s, x) for s, x in enumerate((60.1, 91.0, 92.0, 93.0, 94.0))]
    records += [make("frozen", s, x) for s, x in enumerate((60.0, 61.0, 60.0, 61.0, 60.0))]
    assert math.isnan(row("x.py:Mine", [*records, make("x.py:Mine", 0, 65.0)])["credit"])
