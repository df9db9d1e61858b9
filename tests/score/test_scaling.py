"""Series of tasks by size, slopes per doubling, and extrapolations, on records with known answers."""

from __future__ import annotations

import math

import pytest

from grape_bench.report.readme import render
from grape_bench.score.results import results
from grape_bench.score.scaling import extrapolations, series, slope, trends
from tests.report.runs import diagnostics
from tests.score.records import make

SIZES = {2: 1, 4: 2, 8: 3}
"""Size -> number of doublings."""


def swept():
    """BP is at 90. DFA loses 2 points per doubling (one seed 0.1 more), and anchors win back 1 per doubling."""
    found = []
    for size, doublings in SIZES.items():
        for seed in (0, 1, 2):
            loss = (2.1 if seed == 2 else 2.0) * doublings
            tests = {"bp": 90.0, "dfa": 90 - loss, "dfa+anchor": 90 - loss + doublings}
            found += [
                make(rule, seed, test, task=f"mlp-depth-{size}", time={"train_s": 3.0 * size})
                for rule, test in tests.items()
            ]
    return found


def test_tasks_are_grouped_by_family_and_axis_in_order_of_size():
    tasks = ["mlp-depth-8", "mlp-depth-2", "digits", "mlp-depth-16", "my-vit-width-32", "my-vit-width-64"]
    (found,) = series(tasks)  # two widths are not yet a series
    assert (found.family, found.axis) == ("mlp", "depth")
    assert list(found.tasks.items()) == [(2, "mlp-depth-2"), (8, "mlp-depth-8"), (16, "mlp-depth-16")]


def test_the_slope_is_per_doubling_over_seeds_that_have_every_size():
    found = slope({2: {0: 1.0, 1: 5.0}, 4: {0: 3.0, 1: 9.0, 2: 100.0}, 8: {0: 5.0, 1: 13.0}})
    assert (found.mean, found.n) == (pytest.approx(3.0), 2)


def test_gap_and_anchor_effect_are_paired_by_seed():
    found = {(one.quantity, one.rule): one for one in trends(results(swept()))}
    assert set(found) == {("gap", "dfa"), ("gap", "dfa+anchor"), ("anchor", "dfa+anchor")}
    gap = found["gap", "dfa"]
    assert gap.slope.mean == pytest.approx(2 + 0.1 / 3)
    assert gap.slope.half_width == pytest.approx(4.3027 * 0.1 / 3, rel=1e-3)  # t(0.975, 2) s / sqrt(3)
    assert gap.points[8].mean == pytest.approx(6.1)
    anchor = found["anchor", "dfa+anchor"].slope
    assert (anchor.mean, anchor.half_width) == (pytest.approx(1), pytest.approx(0, abs=1e-9))


def test_alignment_is_the_mean_over_blocks_at_the_end():
    records = swept()
    measured = {r.id: diagnostics(0.1 * SIZES[int(r.task.split("-")[2])]) for r in records if r.rule == "dfa"}
    (found,) = [one for one in trends(results(records, diagnostics=measured)) if one.quantity == "alignment"]
    assert [round(point.mean, 3) for point in found.points.values()] == [0.1, 0.2, 0.3]
    assert found.slope.mean == pytest.approx(0.1)


def test_a_forecast_follows_the_power_law_of_the_measured_times():
    (bp, *_) = extrapolations(results(swept()))
    assert bp.rule == "bp"
    assert (bp.power, bp.measured_s) == (pytest.approx(1), 24)
    assert (bp.ten_s, bp.hundred_s) == (pytest.approx(240), pytest.approx(2400))


def test_the_page_shows_slopes_and_calls_a_forecast_a_forecast():
    page = render(results(swept()), {})
    assert "| mlp     | depth | dfa        | +2.03 ± 0.14 (3) |" in page
    assert "Forecast, not a measurement" in page
    assert "By size" not in render(results([record for record in swept() if record.task == "mlp-depth-2"]), {})


def test_one_seed_has_a_slope_without_an_interval():
    assert math.isnan(slope({2: {0: 1.0}, 4: {0: 2.0}, 8: {0: 3.0}}).half_width)
