"""From a suite to jobs: order, inheritance of settings, overrides from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.plan.expand import make_plan
from grape_bench.plan.overrides import Overrides
from grape_bench.record.job import Job
from tests.plan.suites import write_suite


def jobs_of(path: Path, **overrides: object) -> list[Job]:
    return make_plan(str(path), Overrides(**overrides)).jobs


def test_seeds_are_outermost_and_bp_comes_first_in_a_task(tmp_path: Path) -> None:
    jobs = [(job.seed, job.task, job.rule) for job in jobs_of(write_suite(tmp_path))]
    assert jobs[:4] == [(0, "first", "bp"), (0, "first", "dfa"), (0, "first", "dfa+anchor"), (0, "second", "bp")]
    assert [seed for seed, _, _ in jobs] == [0] * 6 + [1] * 6


def test_step_time_is_measured_in_the_first_seed_of_all_but_bp(tmp_path: Path) -> None:
    jobs = jobs_of(write_suite(tmp_path))
    assert all(job.profile == (job.seed == 0) for job in jobs)


def test_anchored_settings_override_plain_ones_and_a_task_overrides_the_suite(tmp_path: Path) -> None:
    more = """
[task.rule.dfa]
lr = 0.5
[rule.dfa]
lr = 0.01
scale = 1
[rule."dfa+anchor"]
scale = 2
every_epochs = 3
"""
    jobs = {(job.task, job.rule): job for job in jobs_of(write_suite(tmp_path, more=more))}
    assert jobs["first", "dfa"].rule_settings == {"scale": 1}
    assert jobs["first", "dfa"].optimizer == {"name": "adamw", "lr": 0.01}
    assert jobs["first", "dfa+anchor"].rule_settings == {"scale": 2, "every_epochs": 3}
    assert jobs["second", "dfa+anchor"].optimizer == {"name": "sgd", "lr": 0.5, "momentum": 0.9}
    assert jobs["second", "bp"].optimizer["lr"] == 0.1


def test_only_restricts_the_suites_rules_rule_adds_to_them_seeds_replaces(tmp_path: Path) -> None:
    jobs = jobs_of(write_suite(tmp_path), rules=("fa",), only=("dfa",), seeds=1)
    assert [(job.task, job.rule) for job in jobs] == [
        (task, rule) for task in ("first", "second") for rule in ("dfa", "fa")
    ]


def test_a_task_may_have_only_some_rules_and_a_users_rule_runs_on_every_task(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import grape_bench as gb\n\n\nclass Mine(gb.DirectFeedback): ...\n")
    mine = f"{tmp_path}/mine.py:Mine"
    settings = ('first.only=["bp", "dfa"]', 'second.skip=["dfa"]')
    jobs = jobs_of(write_suite(tmp_path), rules=(mine,), settings=settings, seeds=1)
    assert {(job.task, job.rule) for job in jobs} == {
        ("first", "bp"), ("first", "dfa"), ("first", mine),
        ("second", "bp"), ("second", "dfa+anchor"), ("second", mine),
    }  # fmt: skip


def test_a_task_may_have_fewer_seeds_than_its_suite_but_not_more(tmp_path: Path) -> None:
    path = write_suite(tmp_path)

    def seeds(task: str, **overrides: object) -> set[int]:
        return {job.seed for job in jobs_of(path, **overrides) if job.task == task}

    assert seeds("first") == seeds("second") == {0, 1}
    assert seeds("second", settings=("second.seeds=1",)) == {0}
    assert seeds("first", settings=("second.seeds=1",)) == {0, 1}
    assert seeds("second", settings=("second.seeds=3",), seeds=4) == {0, 1, 2}
    assert seeds("second", settings=("second.seeds=3",), seeds=2) == {0, 1}


def test_set_changes_one_task_all_tasks_a_rule_and_the_top_of_the_file(tmp_path: Path) -> None:
    settings = (
        "first.epochs=7",
        "task.batch_size=16",
        "task.schedule=cosine",
        "rule.dfa+anchor.lr=1e-4",
        "second.rule.dfa.weight_decay=0.1",
        "seeds=1",
    )
    jobs = {(job.task, job.rule): job for job in jobs_of(write_suite(tmp_path), settings=settings)}
    assert len(jobs) == 6
    assert (jobs["first", "bp"].epochs, jobs["second", "bp"].epochs) == (7, 1)
    assert {(job.batch_size, job.schedule) for job in jobs.values()} == {(16, "cosine")}
    assert jobs["first", "dfa+anchor"].optimizer["lr"] == 1e-4
    assert jobs["first", "dfa"].optimizer["lr"] == 1e-3
    assert jobs["second", "dfa"].optimizer["weight_decay"] == 0.1


def test_options_reach_the_job_and_a_budget_replaces_the_other_one(tmp_path: Path) -> None:
    options = (
        "task.steps=50",
        "task.optimizer={ name = 'timm:muon', lr = 1e-3, args = { nesterov = true } }",
        "task.groups={ head = { lr_scale = 2.0 }, body = { frozen = true } }",
        "task.schedule_args={ gamma = 0.5 }",
        "task.ema=0.9",
    )
    for job in jobs_of(write_suite(tmp_path), settings=options):
        assert (job.epochs, job.steps, job.budget, job.ema) == (None, 50, "50 steps", 0.9)
        assert job.optimizer == {"name": "timm:muon", "lr": 1e-3, "args": {"nesterov": True}}
        assert job.groups == {"head": {"lr_scale": 2.0}, "body": {"frozen": True}}
        assert job.schedule_args == {"gamma": 0.5} and job == type(job).from_dict(job.to_dict())
    assert {job.epochs for job in jobs_of(write_suite(tmp_path), settings=("task.steps=5", "task.epochs=9"))} == {9}


def test_the_files_of_an_optimizer_and_a_schedule_are_hashed(tmp_path: Path) -> None:
    def identity(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        file = tmp_path / name
        settings = (f"task.optimizer.name='{file}:Mine'", f"task.schedule='{file}:half'", "first.optimizer.lr=0.1")
        return jobs_of(write_suite(tmp_path), settings=settings, only=("bp",), seeds=1)[0].id

    assert identity("one.py", "# 1") == identity("two.py", "# 1") != identity("one.py", "# 2")
    assert jobs_of(write_suite(tmp_path))[0].optimizer_source == ""


def test_a_users_file_is_a_rule_and_has_settings_under_its_class_name(tmp_path: Path) -> None:
    file = tmp_path / "my.py"
    file.write_text("class MyRule: ...\n")
    rule = f"{file}:MyRule"
    path = write_suite(tmp_path)
    jobs = jobs_of(path, rules=(rule,), only=("MyRule",), settings=("rule.MyRule.lr=0.5",))
    assert {job.rule for job in jobs} == {rule}
    assert jobs[0].optimizer["lr"] == 0.5
    file.write_text("class MyRule: changed = True\n")
    again = jobs_of(path, rules=(rule,), only=("MyRule",), settings=("rule.MyRule.lr=0.5",))
    assert not {job.id for job in jobs} & {job.id for job in again}, "an edited rule must run again"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("first.epochs", "KEY=VALUE"),
        ("frist.epochs=3", "did you mean 'first'"),
        ("first.epochs=three words", "not a TOML value"),
        ("first.schedule=None", "not a TOML value"),
        ("first.epochs=0", "at least 1"),
        ("first.name.epochs=1", "a value, not a table"),
        ("rule.lr=1", "no rule and key"),
        ("task=1", "no key after"),
        ("second.rule.dfa.betas=[0.9, 0.99]", "not of sgd"),
    ],
)
def test_a_wrong_set_is_a_user_error(tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        jobs_of(write_suite(tmp_path), settings=(setting,))


def test_only_a_rule_of_the_suite(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown rule of this suite 'grape'"):
        jobs_of(write_suite(tmp_path), only=("grape",))


def test_one_file_under_two_paths_is_one_rule(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("class MyRule: ...\n")
    with pytest.raises(UserError, match="are the same"):
        jobs_of(write_suite(tmp_path), rules=(f"{tmp_path}/a.py:MyRule", f"{tmp_path}/b.py:MyRule"))


def test_two_classes_of_one_name_would_be_one_row(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("class MyRule: ...\n")
    (tmp_path / "b.py").write_text("class MyRule: 'another one'\n")
    with pytest.raises(UserError, match="have one name"):
        jobs_of(write_suite(tmp_path), rules=(f"{tmp_path}/a.py:MyRule", f"{tmp_path}/b.py:MyRule"))


def test_blocks_granularity_and_cuts_are_part_of_a_job_only_where_the_suite_sets_them(tmp_path: Path) -> None:
    plain = jobs_of(write_suite(tmp_path))
    cut = jobs_of(write_suite(tmp_path, old="epochs = 2", new='blocks = ["layers.*"]\nepochs = 2'))
    finer = jobs_of(write_suite(tmp_path, old="epochs = 2", new='granularity = "layer"\nepochs = 2'))
    calls = jobs_of(write_suite(tmp_path, old="epochs = 2", new='cuts = "time"\nepochs = 2'))
    defaults = 'granularity = "block"\ncuts = "depth"\nepochs = 2'
    written_out = jobs_of(write_suite(tmp_path, old="epochs = 2", new=defaults))
    assert [job.id for job in written_out] == [job.id for job in plain]
    for changed in (cut, finer, calls):
        same = {a.task for a, b in zip(plain, changed, strict=True) if a.id == b.id}
        assert same == {"second"}, "only the task that has the key"
    assert {job.granularity for job in finer if job.task == "first"} == {"layer"}
    assert {job.cuts for job in calls if job.task == "first"} == {"time"}
    assert next(job.blocks for job in cut if job.task == "first") == ["layers.*"]
