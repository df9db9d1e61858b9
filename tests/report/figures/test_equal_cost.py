import pytest
from matplotlib.figure import Figure

from grape_bench.report.figures import equal_cost
from grape_bench.report.palette import styles
from grape_bench.score.results import results
from tests.score.curves import merged, runs

GROUPS = (
    runs("bp", 1.0, [50, 60, 70, 80], spread=1.0),
    runs("x", 2.0, [60, 70, 80, 90]),
    runs("slow", 50.0, [60, 70]),
    runs("frozen", 1.0, [65]),
)


def test_lines_end_where_the_runs_do_and_frozen_is_a_level() -> None:
    records, curves = merged(*GROUPS)
    found = results(records, curves, at="seconds")
    assert found.equal is not None
    axes = Figure().subplots()
    equal_cost._draw_panel(axes, found.equal.paths["digits-mlp"].values(), styles(found.rules))
    lines = {tuple(line.get_xdata()): list(line.get_ydata()) for line in axes.lines if len(line.get_xdata()) > 1}
    assert lines[0.25, 0.5, 0.75, 1.0] == [50, 60, 70, 80]
    assert lines[0.5, 1.0, 1.5, 2.0] == [60, 70, 80, 90]
    assert lines[0.0, equal_cost.MOST_COST] == [65, 65]
    assert axes.get_xlim() == (0, equal_cost.MOST_COST)  # a rule at 50 times BP's cost does not squeeze the others


def test_the_band_is_the_interval_over_seeds() -> None:
    records, curves = merged(GROUPS[0], GROUPS[1])
    found = results(records, curves, at="seconds")
    assert found.equal is not None
    path = found.equal.paths["digits-mlp"]["bp"]
    low, high = zip(*(point[2:] for point in equal_cost._values(path.band(), path.cell.metric)), strict=True)
    # Seeds 79, 80, 81: ± 4.303 / sqrt(3) = 2.484.
    assert (low[-1], high[-1]) == (pytest.approx(77.516, abs=1e-3), pytest.approx(82.484, abs=1e-3))


def test_nothing_is_drawn_without_a_comparison() -> None:
    records, curves = merged(*GROUPS)
    assert equal_cost.shown(results(records, curves)) == []
