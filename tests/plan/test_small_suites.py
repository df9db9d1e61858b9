"""The suites of one kind of task each: `suites/KIND-small.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from grape_bench.data.names import check_name
from grape_bench.plan.suite import Suite

SUITES = sorted((Path(__file__).parents[2] / "suites").glob("*.toml"))
KINDS = ("text", "tables", "regression", "graphs", "series")


def read(path: Path) -> Suite:
    return Suite.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_a_shipped_suite_has_the_name_of_its_file_and_data_that_exists(path: Path) -> None:
    suite = read(path)
    assert suite.name == path.stem
    for task in suite.tasks:
        check_name(task.dataset)
        assert len(task.name) <= 18, "`plan` shows 18 letters of a task's name"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_small_suite_that_can_be_tuned_and_has_both_references(kind: str) -> None:
    suite = read(next(path for path in SUITES if path.stem == f"{kind}-small"))
    assert {"bp", "dfa", "grape", "head-only"} <= set(suite.rules)
    assert suite.tuning is not None
