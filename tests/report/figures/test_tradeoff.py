import pytest
from matplotlib.figure import Figure

from grape_bench.record.record import Record
from grape_bench.report.figures import tradeoff
from grape_bench.score.results import results
from tests.report.runs import with_flops
from tests.score.records import make, suite


def test_pareto_front_by_hand() -> None:
    # (1, 50) is beaten by (1, 60); (3, 60) costs more for as much; (2, 55) less for more cost.
    points = [(3.0, 60.0), (1.0, 50.0), (2.0, 55.0), (1.0, 60.0), (4.0, 70.0)]
    assert tradeoff.pareto(points) == [(1.0, 60.0), (4.0, 70.0)]
    assert tradeoff.pareto([]) == []


def test_costs_are_drawn_if_they_were_measured() -> None:
    def costs(records: list[Record]) -> list[str]:
        return [column.name for column in tradeoff.available(results(records))]

    assert costs(suite(2)) == ["step_ratio"]
    assert costs(with_flops(suite(2))) == ["step_ratio", "flops_ratio"]
    assert costs([make("bp"), make("fa", profile=None)]) == []


def test_an_open_row_is_a_point_but_not_on_the_front() -> None:
    cheap = {"profile": {"step_ratio": 0.5}}
    records = [make("bp", 0, 90.0), make("dfa", 0, 80.0, profile={"step_ratio": 0.8})]
    found = results([*records, make("bp:open", 0, 99.0, **cheap)])
    axes = Figure().subplots()
    tradeoff._draw_panel(axes, found, "digits-mlp", tradeoff.available(found)[0])
    assert axes.lines[0].get_xydata().tolist() == [[0.8, 80.0], [1.0, 90.0]]
    assert {text.get_text() for text in axes.texts} == {"bp", "bp:open", "dfa"}


def test_labels_do_not_overlap() -> None:
    axes = Figure(figsize=(5, 3)).subplots()
    points = [(1.0, 90.0), (1.01, 90.2), (1.02, 90.1), (2.0, 50.0)]
    axes.plot(*zip(*points, strict=True), "o")
    tradeoff._name_points(axes, points, ["first", "second", "third", "fourth"])
    axes.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_table_of_perplexities() -> None:
    metric = {"name": "perplexity", "unit": "", "chance": 100.0}
    table = results([make("bp", 0, 20.0, metric=metric), make("fa", 0, 40.0, metric=metric)]).table
    assert list(table["perplexity"]) == pytest.approx([20, 40])
