"""Objectives by name: built in, registered, and from a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import grape_bench as gb
from grape_bench.objectives.make import make_objective
from grape_bench.objectives.names import METRIC_UNITS, OBJECTIVES
from grape_bench.score.metric import METRICS
from tests.objectives.data import values


@pytest.fixture
def registered() -> Iterator[None]:
    before = dict(OBJECTIVES._objects)
    yield
    OBJECTIVES._objects = before


@pytest.mark.usefixtures("registered")
def test_a_class_is_registered_by_a_decorator() -> None:
    @gb.register_objective("absolute")
    class Absolute(gb.Objective):
        metric = "rmse"
        targets = "values"

    assert type(make_objective("absolute")) is Absolute and "absolute" in OBJECTIVES


def test_an_objective_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import grape_bench as gb\nclass Mine(gb.Objective):\n    metric, targets = 'r2', 'values'\n")
    assert make_objective(f"{file}:Mine").metric == "r2"
    file.write_text("class Mine: pass\n")
    with pytest.raises(gb.UserError, match="not an Objective"):
        make_objective(f"{file}:Mine")


def test_a_metric_that_cannot_be_scored_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import grape_bench as gb\nclass Mine(gb.Objective):\n    metric, targets = 'rmsd', 'values'\n")
    with pytest.raises(gb.UserError, match=r"unknown metric 'rmsd'[\s\S]*did you mean"):
        make_objective(f"{file}:Mine")


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("clasification", {}, "did you mean 'classification'"),
        ("classification", {"smoothing": 0.1}, "unknown argument 'smoothing'"),
        ("classification", {"label_smoothing": 1.0}, "from 0 to below 1"),
        ("binary", {"metric": "auc"}, "unknown metric 'auc'"),
        ("node-classification", {"metric": "accuracy"}, "unknown argument"),
    ],
)
def test_mistakes_are_named(name: str, args: dict[str, object], said: str) -> None:
    with pytest.raises(gb.UserError, match=said):
        make_objective(name, **args)


def test_every_metric_of_an_objective_can_be_scored() -> None:
    assert METRIC_UNITS.keys() == METRICS.keys()
    assert {name: unit.replace("percent", "%") for name, unit in METRIC_UNITS.items()} == {
        name: metric.unit for name, metric in METRICS.items()
    }


def test_the_objective_of_the_documentation_works(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "objectives.md").read_text()
    file = tmp_path / "absolute.py"
    file.write_text(page.split("```python\n")[1].split("```")[0])
    objective = make_objective(f"{file}:Absolute").bind(values([[1.0], [2.0]]))
    assert objective.metric == "rmse"
    assert objective.loss(torch.tensor([[1.0], [4.0]]), torch.tensor([[1.0], [2.0]])) == 1


def test_the_documentation_lists_every_objective_and_metric() -> None:
    page = (Path(__file__).parents[2] / "docs" / "objectives.md").read_text()
    rows = [line.split("|")[1].strip(" `") for line in page.splitlines() if line.startswith("| `")]
    assert {*rows} == {*OBJECTIVES, *METRICS}
