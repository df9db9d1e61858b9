import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from grape_bench.record.record import Record
from grape_bench.report.figures import look, tradeoff
from grape_bench.score.results import results
from tests.report.runs import with_flops
from tests.score.records import make, suite


def drawn(records: list[Record]) -> Figure:
    with mpl.rc_context(look.style(look.WIDTH)):
        return tradeoff._figure(results(records), look.WIDTH)


def made(rule: str, low: float) -> list[Record]:
    """Three seeds with a step time."""
    ratio = {"profile": {"step_ratio": 1.2, "flops": None}} if rule != "bp" else {}
    return [make(rule, seed, low + seed, **ratio) for seed in range(3)]


def test_the_staircase_rises_only_where_intervals_are_apart() -> None:
    points = [(0.5, 50.0, 1.0), (1.0, 60.0, 2.0), (2.0, 61.0, 2.0), (3.0, 70.0, 1.0)]
    assert tradeoff.staircase(points) == [(0.5, 50.0), (1.0, 60.0), (3.0, 70.0)]  # 61 is not above 60 + 2
    noisy = [(0.5, 50.0, 30.0), *points[1:]]
    assert tradeoff.staircase(noisy) == [(0.5, 50.0)]
    assert tradeoff.staircase([(1.0, 50.0, 1.0), (2.0, 90.0, float("nan"))]) == [(1.0, 50.0)]  # one seed shows nothing
    assert tradeoff.staircase([]) == []


def test_costs_are_drawn_if_they_were_measured() -> None:
    def costs(records: list[Record]) -> list[str]:
        return [column.name for column in tradeoff.available(results(records))]

    assert costs(suite(2)) == ["step_ratio"]
    assert costs(with_flops(suite(2))) == ["step_ratio", "flops_ratio"]
    assert costs([make("bp"), make("fa", profile=None)]) == []


def test_an_open_row_is_a_point_but_not_on_the_staircase() -> None:
    def of(rule: str, low: float, ratio: float) -> list[Record]:
        return [make(rule, seed, low + seed / 10, profile={"step_ratio": ratio, "flops": None}) for seed in range(3)]

    figure = drawn([*of("dfa", 80, 0.8), *of("bp", 90, 1.0), *of("bp:open", 99, 0.5)])
    (stairs,) = (line for line in figure.axes[0].lines if line.get_drawstyle() == "steps-post")
    assert stairs.get_xydata()[:, 0].tolist() == [0.8, 1.0, 1.0]
    assert {text.get_text() for text in figure.axes[0].texts} == {"bp", "bp:open", "dfa"}


def test_costs_beyond_a_factor_of_four_are_on_a_logarithmic_axis() -> None:
    records = [make("bp", s, 90.0 + s) for s in range(2)]
    far = [make("fa", s, 80.0 + s, profile={"step_ratio": 12.0, "flops": None}) for s in range(2)]
    near = [make("dfa", s, 70.0 + s, profile={"step_ratio": 0.5, "flops": None}) for s in range(2)]
    (wide,), (narrow,) = drawn([*records, *far, *near]).axes, drawn([*records, *near]).axes
    assert wide.get_xscale() == "log" and 0 < wide.get_xlim()[0] < 0.5
    assert narrow.get_xscale() == "linear"


def test_an_open_marker_is_not_shown_to_be_trained() -> None:
    records = [r for rule, low in (("bp", 90), ("frozen", 50), ("dfa", 40)) for r in made(rule, low)]
    (axes,) = drawn(records).axes
    faces = {tuple(line.get_ydata()): line.get_markerfacecolor() for line in axes.lines if line.get_marker() == "o"}
    assert faces[(41.0,)] == "white" and faces[(91.0,)] != "white"


def test_a_table_of_perplexities() -> None:
    metric = {"name": "perplexity", "unit": "", "chance": 100.0}
    table = results([make("bp", 0, 20.0, metric=metric), make("fa", 0, 40.0, metric=metric)]).table
    assert list(table["perplexity"]) == pytest.approx([20, 40])
