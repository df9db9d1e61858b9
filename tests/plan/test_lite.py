"""`--lite`: the first seed of the chosen rules, on the tasks that every rule of the suite may run."""

from __future__ import annotations

from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.plan.expand import make_plan
from grape_bench.plan.overrides import Overrides
from tests.plan.suites import write_suite

SECOND = ('second.only=["bp", "dfa"]',)


def mine(folder: Path) -> str:
    (folder / "mine.py").write_text("class Mine: ...\n")
    return f"{folder}/mine.py:Mine"


def test_one_seed_of_the_added_rule_on_the_wide_tasks_with_the_ids_of_the_whole_plan(tmp_path: Path) -> None:
    suite, rule = str(write_suite(tmp_path)), mine(tmp_path)
    whole = make_plan(suite, Overrides((rule,), settings=SECOND))
    lite = make_plan(suite, Overrides((rule,), settings=SECOND, lite=True))
    assert [(job.task, job.rule, job.seed) for job in lite.jobs] == [("first", rule, 0)]
    assert {job.task for job in whole.jobs if job.rule == rule} == {"first", "second"}, "it may run on both"
    assert lite.jobs[0].id in {job.id for job in whole.jobs}


def test_rules_of_the_suite_are_chosen_with_only(tmp_path: Path) -> None:
    suite = str(write_suite(tmp_path))
    lite = make_plan(suite, Overrides((mine(tmp_path),), only=("dfa",), lite=True))
    assert [(job.task, job.rule_name.label) for job in lite.jobs] == [
        (task, rule) for task in ("first", "second") for rule in ("dfa", "Mine")
    ]


def test_mistakes(tmp_path: Path) -> None:
    suite, rule = str(write_suite(tmp_path)), (mine(tmp_path),)
    with pytest.raises(UserError, match="no rule to run"):
        make_plan(suite, Overrides(lite=True))
    with pytest.raises(UserError, match="--lite runs one seed"):
        make_plan(suite, Overrides(rule, seeds=2, lite=True))
    with pytest.raises(UserError, match="every task of this suite has a list `only`"):
        make_plan(suite, Overrides(rule, settings=('task.only=["bp"]',), lite=True))
