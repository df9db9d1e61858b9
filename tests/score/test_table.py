import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grape_bench.record.parts import Features
from grape_bench.record.record import Record
from grape_bench.report import markdown
from grape_bench.report.text import caption
from grape_bench.score.columns import COLUMNS, SCORE_VERSION
from grape_bench.score.table import score
from tests.score.records import MEBI, RULES, failed, make, suite, with_parts

RELATIVE_TO_ALL = [column.name for column in COLUMNS if column.of_table]


def cell(table: pd.DataFrame, rule: str, task: str = "digits-mlp") -> dict[str, Any]:
    (row,) = table[(table["task"] == task) & (table["rule"] == rule)].to_dict("records")
    return {str(name): value for name, value in row.items()}


def three_seeds(**means: float) -> list[Record]:
    """Three seeds per rule, one below and one above the mean by 1."""
    rules = {name.replace("_", "-"): value for name, value in means.items()}
    return [make(rule, seed, value + seed - 1) for rule, value in rules.items() for seed in range(3)]


def test_worked_example() -> None:
    # chance 10, frozen 60, DFA 80, GrAPE 85, BP 90; s = 1 each, t(0.975, 2) = 4.302653.
    table = score(three_seeds(bp=90, dfa=80, grape=85, frozen=60, head_only=50))
    grape = cell(table, "grape")
    assert (grape["n"], grape["accuracy"], grape["draft"]) == (3, 85.0, True)
    assert grape["accuracy_ci"] == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert grape["norm_acc"] == pytest.approx(75 / 80)
    assert grape["credit"] == pytest.approx(25 / 30)
    assert grape["gap_closed"] == pytest.approx(0.5)
    assert (cell(table, "bp")["credit"], cell(table, "frozen")["credit"]) == (1, 0)
    assert cell(table, "frozen")["gap_closed"] == pytest.approx(-2)
    assert cell(table, "head-only")["credit"] == pytest.approx(-10 / 30), "a row, and not the zero"


def with_features(rule: str, value: float, features: float | None) -> list[Record]:
    """Three seeds of a rule, and of the converged head on what it learned."""
    part = features and Features(test=features, test_error=0.1, validation=features, penalty=1e-3)
    return [make(rule, seed, value + seed - 1, features=part) for seed in range(3)]


def test_feature_credit_by_hand() -> None:
    # frozen 60; the converged head has 92 on BP's features, 84 on x's and none on y's (an older record).
    runs = [("bp", 90, 92.0), ("frozen", 60, 60.0), ("x", 70, 84.0), ("y", 70, None)]
    table = score([record for run in runs for record in with_features(*run)])
    x, y = cell(table, "x"), cell(table, "y")
    assert x["credit"] == y["credit"] == pytest.approx(10 / 30), "the run achieved little"
    assert x["feature_credit"] == pytest.approx(24 / 32) and math.isnan(y["feature_credit"]), "its layers learned much"
    assert (cell(table, "bp")["feature_credit"], cell(table, "frozen")["feature_credit"]) == (1, 0)


def test_a_diverged_run_has_the_features_of_chance() -> None:
    runs = [("bp", 90, 92.0), ("frozen", 60, 60.0), ("x", 70, 84.0)]
    records = [record for run in runs for record in with_features(*run)]
    last = with_parts(records[-1], status="diverged", features=None)
    # (84 + 84 + 10) / 3 = 59.33
    assert cell(score([*records[:-1], last]), "x")["feature_credit"] == pytest.approx((178 / 3 - 60) / 32)


def test_a_quotient_without_a_resolved_denominator_is_a_dash() -> None:
    """BP equals frozen, to the digit and by noise; a clear difference has its quotient."""
    equal = [*with_features("bp", 90, 95.0), *with_features("frozen", 90, 90.0), *with_features("x", 85, 93.0)]
    for records in (equal, [*equal[:2], make("bp", 2, 93.5), *equal[3:]]):
        table = score(records)
        assert table["credit"].isna().all() and "feature_credit" not in table
        assert "digits-mlp: bp is not resolved above frozen, so there is no credit" in table.attrs["notes"]
    clear = score([*equal[3:], *with_features("bp", 95, 95.0)])
    assert cell(clear, "x")["credit"] == pytest.approx(-1) and cell(clear, "x")["feature_credit"] == pytest.approx(0.6)


def test_norm_acc_needs_a_bp_above_chance() -> None:
    # Chance is 10: BP with 9, 20, 11 is above it by noise.
    rules = [make("x", s, 40.0) for s in range(3)]
    noise = [make("bp", s, x) for s, x in enumerate((9.0, 20.0, 11.0))]
    assert "norm_acc" not in score([*noise, *rules])
    assert cell(score([*[make("bp", s, 20.0 + s) for s in range(3)], *rules]), "x")["norm_acc"] == pytest.approx(
        30 / 11
    )


def test_one_seed_resolves_no_denominator() -> None:
    assert score([make("bp", test=90.0), make("frozen", test=50.0)])["credit"].isna().all()


def test_a_table_from_before_frozen_has_no_credit_and_says_so() -> None:
    table = score(three_seeds(bp=90, dfa=80, head_only=60))
    assert table["credit"].isna().all() and table["control"].tolist() == ["head-only"] * 3
    assert "The control frozen is not recorded, so there is no credit and no tie." in caption(table)
    assert "–" in markdown.render(table) and "vs control" in markdown.render(table)


def test_the_table_says_the_version_of_its_scores() -> None:
    table = score(three_seeds(bp=90, dfa=80))
    assert table["score_version"].tolist() == [SCORE_VERSION] * 2
    assert f"Scores: version {SCORE_VERSION}." in caption(table)


def test_scores_are_paired_over_the_seeds_in_common() -> None:
    # GrAPE has seeds 0 to 2, BP 1 to 3, frozen all: seeds 1 and 2 are common.
    # credit = (86.5 - 61.5) / (91.5 - 61.5), while the accuracy column is over the rule's own seeds.
    records = [make("grape", s, 85 + s) for s in range(3)] + [make("bp", s, 90 + s) for s in (1, 2, 3)]
    grape = cell(score(records + [make("frozen", s, 60 + s) for s in range(4)]), "grape")
    assert (grape["accuracy"], grape["n"]) == (86.0, 3)
    assert grape["credit"] == pytest.approx(25 / 30)


def test_a_diverged_seed_counts_as_chance() -> None:
    # 85, 85, and a seed that had 88 before it diverged: (85 + 85 + 10) / 3 = 60, norm_acc 50 / 80.
    records = [make("bp", s, 90.0) for s in range(3)] + [make("grape", s, 85.0) for s in range(2)]
    grape = cell(score([*records, make("grape", 2, 88.0, status="diverged")]), "grape")
    assert (grape["n"], grape["accuracy"], grape["status"]) == (3, 60.0, "diverged 1/3")
    assert grape["norm_acc"] == pytest.approx(50 / 80)


def test_divergence_never_helps() -> None:
    draw = np.random.default_rng(1)
    for _ in range(50):
        values = draw.uniform(10, 100, 3)
        well = [make("bp", s, 90.0) for s in range(3)] + [make("x", s, v) for s, v in enumerate(values)]
        broken = [*well[:-1], make("x", 2, values[2], status="diverged")]
        assert cell(score(broken), "x")["accuracy"] <= cell(score(well), "x")["accuracy"]


def test_a_diverged_rule_has_norm_acc_0() -> None:
    table = score([make("bp", test=90.0), make("x", status="diverged", result=None)])
    assert cell(table, "x")["norm_acc"] == 0


@pytest.mark.parametrize("status", ["crashed", "oom", "timeout"])
def test_a_crash_out_of_memory_or_timeout_does_not_count(status: str) -> None:
    table = score([make("bp", 0), make("dfa", 0, 80.0), make("dfa", 1, 82.0), failed("dfa", 2, status)])
    dfa = cell(table, "dfa")
    assert (dfa["n"], dfa["accuracy"], dfa["status"]) == (2, 81.0, f"{status} 1/3")
    assert cell(table, "bp")["status"] == ""


def test_a_cell_without_result_is_nan_and_says_why() -> None:
    lost = [failed("fa", 0, "oom"), failed("fa", 1, "crashed")]
    fa = cell(score([make("bp"), make("dfa", 0, 80.0), *lost]), "fa")
    assert (fa["n"], fa["status"]) == (0, "crashed 1/2, oom 1/2")
    assert all(math.isnan(fa[name]) for name in ("accuracy", "accuracy_ci", "norm_acc", "credit"))


def test_draft_ends_at_five_seeds() -> None:
    drafts = [cell(score([make("bp", s) for s in range(n)]), "bp")["draft"] for n in (1, 3, 4, 5, 10)]
    assert drafts == [True, True, True, False, False]


def test_one_seed_has_no_interval() -> None:
    assert math.isnan(cell(score([make("bp")]), "bp")["accuracy_ci"])


def test_columns_without_value_are_absent() -> None:
    table = score([make("bp", credit=None), make("fa", credit=None, memory=None, profile=None)])
    unknown = {"feature_credit", "gap_closed", "bp_fraction", "step_ratio", "memory_ratio", "status", "verdict"}
    assert not unknown & set(table)
    assert {"task", "rule", "n", "draft", "accuracy", "accuracy_ci", "norm_acc"} <= set(table)


def test_no_records_make_an_empty_table() -> None:
    table = score([])
    assert table.empty and "accuracy" in table


def test_step_ratio_is_the_median_of_the_profiled_jobs() -> None:
    ratios = [{"step_ratio": value} for value in (1.1, 3.0, 1.2)]
    table = score([make("bp"), *(make("dfa", s, profile=p) for s, p in enumerate(ratios))])
    assert cell(table, "dfa")["step_ratio"] == 1.2
    assert cell(table, "bp")["step_ratio"] == 1.0


def test_memory_ratio_is_of_means() -> None:
    def peak(size: int, kind: str = "rss") -> dict[str, Any]:
        return {"peak_bytes": size * MEBI, "kind": kind}

    bp = [make("bp", 0, memory=peak(1000)), make("bp", 1, memory=peak(3000))]
    # 0 means that the kernel missed the peak, not that it was small.
    table = score([*bp, make("dfa", 0, memory=peak(1500)), make("dfa", 1, memory=peak(0))])
    assert cell(table, "dfa")["memory_ratio"] == 0.75
    assert "memory_ratio" not in score([*bp, make("dfa", memory=peak(1500, "cuda"))])


def test_resident_memory_of_small_networks_has_no_ratio() -> None:
    """Below 64 MiB it is mostly what the allocator keeps. Live tensors are counted, whatever their size."""

    def peak(size: int, kind: str = "rss", **live: int) -> dict[str, Any]:
        return {"peak_bytes": size * MEBI, "kind": kind, **live}

    counted = peak(63, live_bytes=300, bp_live_bytes=400)
    table = score([make("bp", memory=peak(70)), make("dfa", memory=counted), make("fa", memory=peak(64))])
    assert math.isnan(cell(table, "dfa")["memory_ratio"]) and cell(table, "fa")["memory_ratio"] == 64 / 70
    assert cell(table, "dfa")["live_ratio"] == 0.75 and cell(table, "bp")["live_ratio"] == 1
    on_gpu = score([make("bp", memory=peak(8, "cuda")), make("dfa", memory=peak(4, "cuda"))])
    assert cell(on_gpu, "dfa")["memory_ratio"] == 0.5


def test_bp_fraction_is_the_mean_of_what_was_counted() -> None:
    counted = [{"bp_fraction": 0.01}, {"bp_fraction": 0.03}, None]
    table = score([make("dfa+anchor", seed, credit=count) for seed, count in enumerate(counted)])
    assert cell(table, "dfa+anchor")["bp_fraction"] == pytest.approx(0.02)


def test_ratios_from_other_hardware_than_bp_are_left_out() -> None:
    table = score([make("bp"), make("fa"), make("dfa", hardware="gpu-y")])
    assert math.isnan(cell(table, "dfa")["step_ratio"]) and math.isnan(cell(table, "dfa")["memory_ratio"])
    assert cell(table, "fa")["step_ratio"] == 1.2
    assert cell(table, "dfa")["hardware"] == "gpu-y"
    (note,) = [note for note in table.attrs["notes"] if "hardware" in note]
    assert note.endswith("different hardware: digits-mlp (dfa): cpu-x; gpu-y")


def test_without_bp_ratios_need_one_class() -> None:
    assert cell(score([make("fa"), make("dfa")]), "dfa")["step_ratio"] == 1.2
    assert "step_ratio" not in score([make("fa"), make("dfa", hardware="gpu-y")])


def test_a_note_says_that_bp_is_below_a_reference() -> None:
    table = score(three_seeds(bp=70, dfa=80))
    assert table.attrs["notes"] == ["digits-mlp: bp is not resolved above dfa, so there is no gap closed"]


def test_rows_keep_the_order_of_the_records_with_bp_first() -> None:
    order = ["dfa", "grape", "bp", "head-only"]
    table = score([make(rule, task=task) for task in ("b", "a") for rule in order])
    assert list(table["task"]) == ["b"] * 4 + ["a"] * 4
    assert list(table["rule"]) == ["bp", "dfa", "grape", "head-only"] * 2


def test_the_order_of_records_changes_no_number() -> None:
    records = suite(5)
    expected = score(records).sort_values(["task", "rule"], ignore_index=True)
    draw = np.random.default_rng(2)
    for _ in range(10):
        shuffled = [records[i] for i in draw.permutation(len(records))]
        found = score(shuffled).sort_values(["task", "rule"], ignore_index=True)
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize("added", RULES[1:])
def test_adding_a_rule_changes_no_other_score(added: str) -> None:
    records = suite(5)
    others = [record for record in records if record.rule != added]
    before, after = score(others), score(records)
    after = after[after["rule"] != added].reset_index(drop=True)
    # Without a reference, what is compared with it is missing. All other scores stay the same to the last digit.
    needs = {"frozen": {"credit", "vs_control", "p_control", "control"}, "dfa": {"gap_closed", "vs_dfa", "p_dfa"}}
    assert set(after) - set(before) <= needs.get(added, set())
    changes = {*RELATIVE_TO_ALL, *needs.get(added, set())}
    if added in needs:  # a reference: Holm counts one more, and the pooled spread has one more
        changes |= {"vs_bp", "p_bp", "vs_dfa", "p_dfa", "vs_control", "p_control"}
    own = [name for name in before if name not in changes]
    pd.testing.assert_frame_equal(after[own], before[own], check_exact=True)


def test_adding_a_rule_from_other_hardware_changes_no_other_score() -> None:
    records = suite(3)
    strangers = [make("my.py:New", s, 99.0, hardware="gpu-y") for s in range(3)]
    after = score([*records, *strangers])
    after = after[after["rule"] != "my.py:New"].reset_index(drop=True)
    before = score(records).drop(columns=list(RELATIVE_TO_ALL))
    pd.testing.assert_frame_equal(after[list(before)], before, check_exact=True)
