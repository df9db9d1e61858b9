import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from grape_bench.report.figures import look
from grape_bench.report.figures import results as plot
from grape_bench.report.palette import styles
from grape_bench.score.cell import cells
from grape_bench.score.labels import labels
from grape_bench.score.metric import METRICS
from grape_bench.score.results import results
from grape_bench.score.table import score
from tests.report.curves import curve, curves
from tests.score.records import RULES, failed, make, suite


def test_the_figure_is_svg_and_reproducible(tmp_path: Path) -> None:
    records = suite(3, ("t",))
    for name in ("a.svg", "b.svg"):
        plot.draw(results(records, curves(records)), tmp_path / name)
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    assert root.tag.endswith("svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_it_is_drawn_without_curves_and_without_results(tmp_path: Path) -> None:
    records = [*suite(1), failed("usf", 0, "oom")]
    plot.draw(results(records, {}), tmp_path / "ends.png")
    lost = [failed("bp", 0, "crashed")]
    plot.draw(results(lost, {"another": curve(90.0)}), tmp_path / "lost.svg")
    assert (tmp_path / "ends.png").stat().st_size and (tmp_path / "lost.svg").stat().st_size


def test_ends_show_every_seed_and_both_references() -> None:
    records = [*suite(3, ("t",)), *(failed("usf", s, "oom", task="t") for s in range(3))]
    axes, table = Figure().subplots(), score(records)
    plot.draw_ends(axes, results(records, {}), "t", styles(table["rule"]))
    assert [label.get_text() for label in axes.get_yticklabels()] == [*RULES, "usf"]
    assert "oom 3/3" in [text.get_text() for text in axes.texts]
    drawn = [(np.asarray(line.get_xdata()), np.asarray(line.get_ydata()), line) for line in axes.lines]
    seeds = {tuple(x) for x, _, _ in drawn if len(x) == 3}
    assert seeds == {tuple(cell.values.values()) for cell in cells(records).values() if cell.results}
    references = [x[0] for x, y, line in drawn if list(y) == [0, 1] and line.get_linestyle() == "--"]
    means = table.set_index("rule")["accuracy"]
    assert references == [means["bp"], means["head-only"], means["frozen"]]


def test_curves_are_means_over_seeds_named_at_their_ends() -> None:
    records = [make("bp", 0, 90.0), make("bp", 1, 80.0), make("dfa", 0, 70.0)]
    axes, style = Figure().subplots(), styles(["bp", "dfa"])
    lines, others = plot.draw_curves(axes, cells(records).values(), curves(records), style)
    plot.name_ends(axes, lines, style, {"bp": "bp", "dfa": "dfa"})
    assert lines["bp"].iloc[-1] == pytest.approx(curve(85.0)["validation_accuracy"].iloc[-1])
    assert {"bp", "dfa"} <= {text.get_text() for text in axes.texts} and others == 0


def test_of_many_curves_the_references_and_the_best_have_a_color_and_a_name() -> None:
    rules = [*RULES, *(f"rule-{i:02}" for i in range(20))]
    records = [make(rule, 0, 60.0 + place) for place, rule in enumerate(rules)]
    axes, style = Figure().subplots(), styles(rules)
    lines, others = plot.draw_curves(axes, cells(records).values(), curves(records), style)
    assert set(lines) == {*RULES, *(f"rule-{i}" for i in range(12, 20))} and others == 12
    assert sum(line.get_color() == look.FAINT for line in axes.lines) == 12


def test_a_rule_that_is_not_trained_has_an_open_marker_and_its_verdict() -> None:
    lows = {"bp": 90, "frozen": 50, "dfa": 40, "grape": 80}
    measured = {"moments": 2, "growth": 1.0, "gain": 1.0}
    records = [
        make(rule, s, low + s, task="t", diagnostics=measured if rule != "frozen" else None)
        for rule, low in lows.items()
        for s in range(3)
    ]
    axes, scored = Figure().subplots(), results(records, {})
    plot.draw_ends(axes, scored, "t", styles(scored.rules))
    means = [line for line in axes.lines if line.get_markersize() == 7]
    faces = {
        rule: line.get_markerfacecolor() == "white" for rule, line in zip(scored.table["rule"], means, strict=True)
    }
    assert faces == {"bp": False, "frozen": False, "dfa": True, "grape": False}
    assert [text.get_text() for text in axes.texts] == ["not above\nfrozen"]


def test_a_seed_that_stops_early_does_not_lift_the_mean() -> None:
    long, short = (curve(end, epochs).set_index("epoch")["validation_accuracy"] for end, epochs in ((90, 20), (20, 4)))
    mean = plot.mean_curve([long, short])
    assert list(mean.index) == [1, 2, 3, 4]
    assert plot.mean_curve([]).empty


def test_values_that_are_not_finite_are_left_out() -> None:
    """A perplexity can overflow at one evaluation of a training that finishes."""
    line = pd.Series([math.inf, 90.0, math.nan, 95.0], index=[1, 2, 3, 4])
    assert list(plot.mean_curve([line, pd.Series([70.0, 80.0, 85.0, 95.0], index=[1, 2, 3, 4])]).index) == [2, 4]
    low, high = plot.window([line, pd.Series([math.inf])])
    assert 80 < low < 90 and 95 < high < 96
    assert plot.window([pd.Series([math.nan])]) == (0.0, 1.0)


def test_a_perplexity_has_a_logarithmic_axis_and_the_interval_of_its_logarithm() -> None:
    """A symmetric interval of 100, 200 and 400 would start below zero."""
    metric = {"name": "perplexity", "unit": "", "chance": 1000.0}
    records = [make("dfa", seed, test, metric=metric) for seed, test in enumerate((100.0, 200.0, 400.0))]
    records += [make(rule, seed, 50.0 + seed, metric=metric) for rule in ("bp", "frozen") for seed in range(3)]
    scored = results(records)
    axes = Figure().subplots()
    plot.draw_ends(axes, scored, "digits-mlp", styles(scored.rules))
    low, high = plot._ends(scored.grid["digits-mlp", "dfa"])
    half = 4.303 * math.log(2) / math.sqrt(3)  # Student's t with 2 degrees of freedom
    assert (min(low, high), max(low, high)) == pytest.approx((200 / math.exp(half), 200 * math.exp(half)), rel=1e-3)
    assert axes.get_xscale() == "log"


def test_a_rule_that_was_evaluated_once_is_a_point_and_the_control_a_level_up_to_it() -> None:
    once = pd.Series([60.0], index=[0.8])
    lines = plot.level({"bp": once, "dfa": once, "frozen": pd.Series([55.0], index=[1])})
    assert lines["bp"] is once and lines["dfa"] is once
    assert list(lines["frozen"].index) == [0.0, 0.8] and set(lines["frozen"]) == {55.0}
    assert plot.level({"frozen": once})["frozen"] is once


def test_the_control_is_a_level_over_all_epochs() -> None:
    lines = plot.level({"bp": pd.Series([50.0, 60.0, 70.0], index=[1, 2, 3]), "frozen": pd.Series([55.0], index=[1])})
    assert list(lines["frozen"].index) == [1, 3] and set(lines["frozen"]) == {55.0}
    assert list(lines["bp"]) == [50.0, 60.0, 70.0]


def test_the_window_holds_all_ends() -> None:
    low, high = plot.window([pd.Series([10.0, 80.0, 95.0]), pd.Series([10.0, 60.0, 85.0])])
    assert 70 < low < 85 and high > 95
    low, high = plot.window([pd.Series([50.0, 50.0])])
    assert low < 50 < high
    # A perplexity falls from 9000: the ends are at the bottom, and the first epochs are cut off.
    falling = [pd.Series([9000.0, 80.0, 40.0]), pd.Series([9000.0, 90.0, 60.0])]
    low, high = plot.window(falling, METRICS["perplexity"])
    assert 30 < low < 40 and 60 < high < 100


def test_names_are_moved_apart_and_keep_their_order() -> None:
    draw = np.random.default_rng(0)
    for _ in range(100):
        values = sorted(draw.uniform(0, 10, 7))
        moved = plot.spread(values, gap=1.0, high=10.0)
        assert min(np.diff(moved)) >= 1 - 1e-9 and max(moved) <= 10 + 1e-9
    assert plot.spread([0.0, 5.0, 9.0], gap=1.0, high=10.0) == [0.0, 5.0, 9.0]
    assert plot.spread([4.0, 4.0], gap=1.0, high=10.0) == [3.5, 4.5]


def test_names_in_other_scripts_stay_apart():
    shown = look.names(labels(["w.py:规则一", "w.py:规则二", "w.py:Правило"]))
    assert list(shown.values()) == ["[89c4 5219 4e00]", "[89c4 5219 4e8c]", "Правило"]
