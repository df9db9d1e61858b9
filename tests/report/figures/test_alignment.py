import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from grape_bench.report.figures import alignment, look
from grape_bench.score.results import Results, results
from tests.report.runs import diagnostics
from tests.score.records import make


def measured(moments: int = 3) -> Results:
    records = [make("bp", 0), make("dfa", 0), make("dfa", 1), make("fa", 0)]
    levels = zip((1.0, 0.3, 0.9), records, strict=False)
    return results(records, diagnostics={record.id: diagnostics(level, moments) for level, record in levels})


def drawn(scored: Results) -> Figure:
    with mpl.rc_context(look.style(look.WIDTH)):
        return alignment._figure(scored, look.WIDTH)


def test_an_alignment_is_the_mean_over_seeds_by_block_and_time() -> None:
    scored = measured()
    assert list(scored.alignment) == [("digits-mlp", "dfa")]  # bp is 1 everywhere, fa was not measured
    cosines = scored.alignment["digits-mlp", "dfa"]
    assert list(cosines.index) == ["blocks.0", "blocks.1"] and list(cosines.columns) == [1000, 2000, 3000]
    assert cosines.loc["blocks.1", 3000] == pytest.approx(0.6)
    assert scored.null_alignment["digits-mlp", "dfa"].loc["blocks.0", 1000] == pytest.approx(0.1)


def test_other_diagnostics_make_no_alignment() -> None:
    records = [make("dfa", 0)]
    assert results(records, diagnostics={records[0].id: diagnostics(0.3).drop(columns="signal_cos")}).alignment == {}


def test_a_line_per_block_over_a_band_for_random_feedback() -> None:
    (panel,) = drawn(measured()).axes
    assert [list(line.get_xdata()) for line in panel.lines] == [[1000, 2000, 3000]] * 2
    assert panel.lines[0].get_color() != panel.lines[1].get_color()
    (band,) = panel.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (min(heights), max(heights)) == pytest.approx((-0.1, 0.1))


def test_one_moment_is_a_point_over_a_level_and_no_tick_appears_twice() -> None:
    figure = drawn(measured(moments=1))
    (panel,) = figure.axes
    assert [(list(line.get_xdata()), line.get_marker()) for line in panel.lines] == [([1000], "o")] * 2
    (band,) = panel.collections
    across = band.get_paths()[0].vertices[:, 0]
    assert (min(across), max(across)) == pytest.approx(panel.get_xlim())
    figure.draw_without_rendering()
    ticks = [label.get_text() for label in panel.get_xticklabels()]
    assert len(set(ticks)) == len(ticks) > 1
