import math

import pandas as pd

from grape_bench.score.cell import cells
from grape_bench.score.time_to_result import time_to
from tests.score.records import make


def curve(*accuracies: float) -> pd.DataFrame:
    epochs = range(1, len(accuracies) + 1)
    rows = [(100 * e, 2.0 * e, a) for e, a in zip(epochs, accuracies, strict=True)]
    return pd.DataFrame(rows, columns=["samples", "seconds", "validation_accuracy"])


def times(extra: list[dict], extra_curves: list[pd.DataFrame]) -> pd.DataFrame:
    """BP ends at 90, head-only at 50: the targets are 70, 82, 88 and 90."""
    records = [make("bp", 0), make("head-only", 0), *extra]
    curves = [curve(60, 80, 90), curve(40, 50, 50), *extra_curves]
    by_id = {record.id: c for record, c in zip(records, curves, strict=True)}
    return time_to(cells(records), by_id)


def row(found: pd.DataFrame, rule: str, share: float) -> dict:
    (one,) = found[(found["rule"] == rule) & (found["share"] == share)].to_dict("records")
    return one


def test_targets_by_hand() -> None:
    found = times([make("x", 0)], [curve(75, 81, 88.5)])
    assert [row(found, "x", share)["target"] for share in (0.5, 0.8, 0.95, 1.0)] == [70, 82, 88, 90]
    assert [row(found, "x", share)["samples"] for share in (0.5, 0.8, 0.95)] == [100, 300, 300]
    assert row(found, "bp", 0.5)["samples"] == 200 and row(found, "bp", 0.5)["seconds"] == 4.0
    missed = row(found, "x", 1.0)
    assert math.isnan(missed["samples"]) and (missed["reached"], missed["n"]) == (0, 1)


def test_the_gain_counts_from_frozen_where_it_is_recorded() -> None:
    found = times([make("frozen", 0), make("x", 0)], [curve(70), curve(75, 81, 88.5)])
    assert [row(found, "x", share)["target"] for share in (0.5, 0.8, 0.95, 1.0)] == [80, 86, 89, 90]


def test_the_median_counts_seeds_that_never_reached_the_target() -> None:
    extra, ends = [make("x", s) for s in range(3)], [curve(71, 90), curve(60, 72), curve(10, 20)]
    found = row(times(extra, ends), "x", 0.5)
    assert (found["samples"], found["reached"], found["n"]) == (200, 2, 3)  # of 100, 200, never
    never = row(times(extra, [curve(71), curve(20), curve(10)]), "x", 0.5)
    assert math.isnan(never["samples"]) and never["reached"] == 1


def test_a_diverged_run_never_reaches_the_target() -> None:
    found = row(times([make("x", 0, status="diverged")], [curve(95, 95)]), "x", 0.5)
    assert found["reached"] == 0 and found["n"] == 1


def test_seconds_are_compared_on_one_machine() -> None:
    found = row(times([make("x", 0, hardware="gpu-y")], [curve(95)]), "x", 0.5)
    assert found["samples"] == 100 and math.isnan(found["seconds"])


def test_the_table_is_empty_without_references() -> None:
    records = [make("bp", 0), make("x", 0)]
    assert time_to(cells(records), {record.id: curve(80) for record in records}).empty


def test_the_target_is_the_score_of_the_weights_that_are_tested() -> None:
    """With `select = "best"` BP is tested at its best evaluation, not at its last."""
    records = [make(rule, 0, select="best") for rule in ("bp", "frozen", "x")]
    curves = [curve(90, 70), curve(60), curve(75, 80)]
    found = time_to(cells(records), {record.id: c for record, c in zip(records, curves, strict=True)})
    assert row(found, "bp", 1.0)["target"] == 90 and row(found, "x", 1.0)["reached"] == 0
