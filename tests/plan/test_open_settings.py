"""`--open`: rows with settings that anyone sent, which change no other job."""

from __future__ import annotations

from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.plan.expand import Plan, make_plan, make_tuning_plan
from grape_bench.plan.job import make_job
from grape_bench.plan.overrides import Overrides
from tests.plan.suites import write_suite
from tests.plan.test_tuned import RULES, tune
from tests.plan.test_tuning import TUNING

ENTRY = """\
[[open]]
rule = "bp"
by = "Jane Doe"
source = "200 random trials on validation"
date = 2026-07-01

[open.task.first]
settings = { lr = 0.02, weight_decay = 0.1 }
definition = "DEFINITION"
"""


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return str(write_suite(tmp_path, more=TUNING))


def send(suite: str, old: str = "", new: str = "", more: str = "") -> None:
    """Write open.toml with the true definitions, with one text replaced and `more` appended."""
    plan, text = make_plan(suite), (ENTRY.replace(old, new, 1) if old else ENTRY) + more
    for rule, task in (("bp", 0), ("dfa+anchor", 1)):
        definition = make_job(plan.suite, plan.suite.tasks[task], rule, 0).definition
        text = text.replace("DEFINITION", definition, 1)
    folder = Path("baselines/small")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open.toml").write_text(text)


def opened(suite: str, **overrides: object) -> Plan:
    return make_plan(suite, Overrides(open=True, **overrides))


def cells(plan: Plan) -> list[tuple[str, str]]:
    return list(dict.fromkeys((job.task, job.rule) for job in plan.jobs))


def test_the_open_row_comes_right_after_its_rule_with_all_seeds_and_the_settings(suite: str) -> None:
    send(suite)
    plan = opened(suite)
    assert cells(plan)[:3] == [("first", "bp"), ("first", "bp:open"), ("first", "dfa")]
    jobs = [job for job in plan.jobs if job.rule == "bp:open"]
    assert [(job.task, job.seed, job.profile) for job in jobs] == [("first", 0, True), ("first", 1, False)]
    assert jobs[0].optimizer == {"name": "adamw", "lr": 0.02, "weight_decay": 0.1}
    assert (jobs[0].open_by, jobs[0].trials) == ("Jane Doe", 1)
    assert plan.note.endswith("open settings: bp by Jane Doe (baselines/small/open.toml)")
    assert plan.ordered(reversed(plan.jobs)) == plan.jobs, "the manifest has the same order"


def test_no_other_job_changes_and_the_file_alone_plans_nothing(suite: str) -> None:
    before = make_plan(suite)
    send(suite)
    assert make_plan(suite) == before
    assert [job.id for job in opened(suite).jobs if job.rule != "bp:open"] == [job.id for job in before.jobs]


def test_the_row_has_one_id_whether_the_others_are_tuned_or_not(suite: str) -> None:
    send(suite)
    untuned = {job.id for job in opened(suite).jobs if job.rule == "bp:open"}
    tune(suite, *RULES)
    plan = opened(suite)
    assert {job.trials for job in plan.jobs if job.rule != "bp:open"} == {4}
    assert {job.id for job in plan.jobs if job.rule == "bp:open"} == untuned


def test_who_sent_them_is_no_part_of_the_id(suite: str) -> None:
    send(suite)
    ids = [job.id for job in opened(suite).jobs]
    send(suite, "Jane Doe", "J. Roe")
    assert [job.id for job in opened(suite).jobs] == ids


def test_settings_of_the_rule_and_of_its_anchors(suite: str) -> None:
    other = ENTRY.replace('"bp"', '"dfa+anchor"').replace("first", "second")
    send(suite, more=other.replace("weight_decay = 0.1", "batches = 2, every_epochs = 3"))
    plan = opened(suite, seeds=1)
    (job,) = [job for job in plan.jobs if job.rule == "dfa:open+anchor"]
    assert (job.task, job.rule_settings) == ("second", {"batches": 2, "every_epochs": 3})
    assert job.optimizer == {"name": "sgd", "lr": 0.02, "momentum": 0.9}, "the optimizer is the task's"
    assert cells(plan)[-2:] == [("second", "dfa+anchor"), ("second", "dfa:open+anchor")]
    assert {job.rule for job in opened(suite, only=("bp",)).jobs} == {"bp", "bp:open"}


def test_a_search_and_a_lite_plan_have_no_open_row(suite: str) -> None:
    send(suite)
    assert "bp:open" not in {job.rule for job in make_tuning_plan(suite, Overrides(open=True)).jobs}
    assert {job.rule for job in opened(suite, only=("bp",), lite=True).jobs} == {"bp"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"bp"', '"bpp"', r"open.toml: unknown rule 'bpp'; did you mean 'bp'"),
        ('"bp"', '"grape"', r"unknown rule 'grape'\n  allowed: bp, dfa, dfa\+anchor"),
        ("task.first", "task.frist", "open.toml: bp: unknown task 'frist'; did you mean 'first'"),
        (
            "weight_decay",
            "epochs",
            r"on first: unknown setting 'epochs'\n  allowed: betas(.|\n)*budget is equal",
        ),
        ("weight_decay", "wight_decay", "unknown setting 'wight_decay'; did you mean 'weight_decay'"),
        ("lr = 0.02", "lr = -1.0", "lr: must be greater than 0"),
        ("lr = 0.02", 'lr = "a"', "lr: must be"),
        ("DEFINITION", "0123456789abcdef", "bp on first: the task, its budget .* have changed"),
        ('definition = "DEFINITION"', "", "bp on first: 'definition' is missing\n  try: definition = \"[0-9a-f]{16}\""),
        ('by = "Jane Doe"', "", "number 1: '?by'?: 'by' is missing\n  try: by = \"Jane Doe\""),
        ("settings =", "setting =", "unknown key 'setting'; did you mean 'settings'"),
        ("date = 2026-07-01", 'date = "soon"', "open number 1: date"),
        ("[[open]]", "[[opened]]", "unknown key 'opened'; did you mean 'open'"),
        ("[[open]]", "[[open]", "TOML"),
    ],
)
def test_mistakes(suite: str, old: str, new: str, message: str) -> None:
    send(suite, old, new)
    with pytest.raises(UserError) as error:
        opened(suite)
    assert error.match(message), str(error.value)


def test_settings_of_one_rule_on_one_task_are_sent_once(suite: str) -> None:
    plan = make_plan(suite)
    definition = make_job(plan.suite, plan.suite.tasks[0], "bp", 0).definition
    send(suite, more=ENTRY.replace("DEFINITION", definition))
    with pytest.raises(UserError, match="bp has open settings on first twice"):
        opened(suite)


def test_they_belong_to_the_suite_as_it_is(suite: str) -> None:
    send(suite)
    assert opened(suite, settings=("task.nproc=2",), seeds=3).jobs
    for setting in ("first.epochs=7", "first.optimizer.lr=0.5", "rule.bp.lr=0.5", 'version="2"'):
        with pytest.raises(UserError, match=r"have changed since(.|\n)*leave out --set"):
            opened(suite, settings=(setting,))


def test_without_any_the_message_says_so(suite: str) -> None:
    with pytest.raises(UserError, match="--open: nobody has sent open settings of this suite"):
        opened(suite)
    send(suite)
    with pytest.raises(UserError, match="no open settings of these rules\n  allowed: bp\n  try: leave out --open"):
        opened(suite, only=("dfa",))


@pytest.mark.parametrize("more", ['[rule."bp:open"]\nlr = 0.1\n', '[tuning.rule."bp:open"]\nlr = { choice = [1] }\n'])
def test_the_name_is_reserved(suite: str, tmp_path: Path, more: str) -> None:
    with pytest.raises(UserError, match=r"'bp:open' is the name of open settings\n  allowed: (.|\n)*--open"):
        make_plan(suite, Overrides(rules=("bp:open",)))
    with pytest.raises(UserError, match="'bp:open' is the name of open settings"):
        make_plan(str(write_suite(tmp_path, more=TUNING + more)))
