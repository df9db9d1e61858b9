"""Every figure, in a README and in a column of 5.5 inches: no text over another, none cut off, none too small."""

from __future__ import annotations

from functools import cache
from types import ModuleType

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from grape_bench.report.figures import alignment, look, performance, ranks, scaling, tradeoff
from grape_bench.report.figures import results as ends
from grape_bench.score.results import Results, results
from tests.report.curves import curves
from tests.report.figures.legible import covered, faults
from tests.report.runs import diagnostics, with_flops
from tests.score.records import RULES, make

MODULES = (ends, tradeoff, performance, ranks, alignment, scaling)
SIZES = {"few": (8, 2), "many tasks": (16, 3), "many rules": (40, 1)}
WIDTHS = (look.WIDTH, 5.5)


@cache
def scored(size: str) -> Results:
    """Three seeds of so many rules on so many tasks, in names of the lengths that occur."""
    count, tasks = SIZES[size]
    rules = [*RULES, *(f"grape-lazy+refit-{i}"[: 5 + i % 14] + f"{i}" for i in range(40))][:count]
    draw = np.random.default_rng(0)
    records = []
    for task in range(tasks):
        for place, rule in enumerate(rules):
            ratio = float(np.exp(draw.normal(0.3, 0.4)))
            profile = {"profile": {"step_ratio": ratio, "flops": None}} if rule != "bp" else {}
            low = 97 - 0.3 * place - float(draw.exponential(4))
            for seed in range(3):
                name = f"mlp-depth-{2**task}"
                records.append(make(rule, seed, low + draw.normal(0, 0.5), task=name, **profile))
    measured = {r.id: diagnostics(0.5) for r in records if r.rule not in ("bp", "frozen", "head-only")}
    return results(with_flops(records), curves(records), measured)


def drawn(module: ModuleType, size: str, width: float) -> Figure:
    figure: Figure = module._figure(scored(size), width)
    return figure


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_reader_can_read_all_of_it(module: ModuleType, size: str, width: float) -> None:
    if module is scaling and size != "many tasks":
        pytest.skip("it has no series")
    with mpl.rc_context(look.style(width)):
        figure = drawn(module, size, width)
        assert faults(figure) == []
        assert figure.get_figwidth() <= width
        if module is tradeoff:
            assert [name for axes in figure.axes for name in covered(axes)] == []


def test_the_checks_find_what_they_look_for() -> None:
    figure = Figure(figsize=(2, 2))
    for text, place, size in (("one", 0.5, 9), ("two", 0.52, 9), ("small", 0.1, 6), ("out", 0.97, 9)):
        figure.text(place, 0.5, text, fontsize=size)
    assert faults(figure) == ["'small' has 6 points", "'out' leaves the figure", "'one' lies over 'two'"]
    axes = Figure().subplots()
    axes.plot([0.5], [0.5], "o")
    axes.text(0.5, 0.5, "over the marker", ha="center", va="center")
    axes.figure.draw_without_rendering()
    assert covered(axes) == ["over the marker"]
