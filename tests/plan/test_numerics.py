"""After an integer is raised, exactly the jobs that use its part are planned again."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grape_bench import network, train
from grape_bench.data.names import DATASETS
from grape_bench.execute.resume import survey
from grape_bench.models.names import MODELS, SOURCES
from grape_bench.plan.expand import make_plan
from grape_bench.plan.numerics import changed, numerics_of, parts
from grape_bench.record.job import Job
from grape_bench.registry import Registry
from grape_bench.rules import names as rules
from grape_bench.rules.names import RULES

ROOT = Path(__file__).parents[2]
CUTTING = {"dfa", "dfa+anchor", "grape", "grape+anchor", "frozen", "head-only"}


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which every job of quickstart is done."""
    monkeypatch.chdir(ROOT)
    return Path(shutil.copytree(ROOT / "results" / "quickstart" / "runs", tmp_path / "quickstart"))


def pending(folder: Path) -> list[Job]:
    return survey(make_plan("quickstart").jobs, folder).pending


def of(jobs: Iterable[Job]) -> set[tuple[str, str]]:
    return {(job.task, job.rule) for job in jobs}


def raise_integer(monkeypatch: pytest.MonkeyPatch, registry: Registry[Any], name: str) -> None:
    builtin = registry.builtin(name)
    assert builtin
    monkeypatch.setitem(registry._builtin, name, replace(builtin, numerics=builtin.numerics + 1))


def test_doubled_widths_of_the_mlp_plan_its_jobs_again(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pending(done) == []
    raise_integer(monkeypatch, MODELS, "mlp")
    again = pending(done)
    assert len(again) == 80 and {rule for _, rule in of(again)} == {*CUTTING, "bp", "fa"}


def test_a_rule_and_its_anchored_form(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raise_integer(monkeypatch, RULES, "grape")
    assert {rule for _, rule in of(pending(done))} == {"grape", "grape+anchor"}


def test_a_library_of_models_counts_for_its_models(monkeypatch: pytest.MonkeyPatch) -> None:
    assert numerics_of("bp", "timm:resnet18", "digits")["model"] == 1
    raise_integer(monkeypatch, SOURCES, "timm")
    assert numerics_of("bp", "timm:resnet18", "digits")["model"] == 2
    assert numerics_of("bp", "mlp", "digits")["model"] == MODELS.builtin("mlp").numerics


def test_the_cuts_do_not_count_for_bp_and_the_fa_family(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "NUMERICS", 3)
    assert {rule for _, rule in of(pending(done))} == CUTTING
    without = {rule for rule in RULES if "cuts" not in numerics_of(rule, "mlp", "digits")}
    assert without == {"bp", "bp-sampled", "bp-window", "fa", "usf", "brsf", "frsf", "kp", "pfa", "wm"}
    assert numerics_of("my.py:MyRule", "mlp", "digits")["cuts"] == 3


def test_the_anchors_count_for_rules_with_anchors(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grape_bench.plan.numerics.ANCHOR_NUMERICS", 2)
    assert {rule for _, rule in of(pending(done))} == {"dfa+anchor", "grape+anchor"}


def test_the_trainer_and_the_data_set_count_for_all(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "NUMERICS", 2)
    assert len(pending(done)) == 80
    monkeypatch.undo()
    monkeypatch.chdir(ROOT)
    raise_integer(monkeypatch, DATASETS, "digits")
    assert len(pending(done)) == 40


def test_tuned_settings_stay_in_use_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    before = make_plan("quickstart")
    raise_integer(monkeypatch, MODELS, "mlp")
    after = make_plan("quickstart")
    assert after.tuned.settings == before.tuned.settings and after.tuned.trials == 8
    assert "numerics" not in before.tuned.note
    assert after.tuned.note.endswith("\n  numerics raised since the search: model mlp")


def test_a_changed_default_goes_into_the_id_as_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    before = {job.id for job in make_plan("walk-back").jobs}
    builtin = RULES.builtin("dfa")
    assert builtin
    monkeypatch.setitem(RULES._builtin, "dfa", replace(builtin, defaults={"feedback": "dense"}))
    changed = [job for job in make_plan("walk-back").jobs if job.id not in before]
    assert {job.rule_name.base for job in changed} == {"dfa"}
    assert all(job.rule_settings["feedback"] == "dense" for job in changed)


def test_a_rule_made_by_its_name_has_the_defaults_that_it_declares() -> None:
    from grape_bench.rules.make import make_rule

    for rule in RULES:
        for setting, value in RULES.defaults(rule).items():
            assert getattr(make_rule(rule), setting) == value


def test_a_class_has_the_defaults_of_the_rule_that_a_paper_names() -> None:
    from grape_bench.rules.grape import GrAPE
    from grape_bench.rules.refit import GrAPERefit

    assert GrAPE().refresh == RULES.defaults("grape")["refresh"] == 1
    assert GrAPERefit().refresh == RULES.defaults("grape+refit")["refresh"] == 1


def test_a_record_lists_all_integers_and_a_missing_one_is_1() -> None:
    job = next(job for job in make_plan("vision-small").jobs if job.rule == "bp")
    assert job.numerics == numerics_of(job.rule, job.model, job.dataset)
    old = replace(job, numerics={})
    assert parts(old) == parts(job) and changed(old) == {}
    assert old.id == job.id


def test_each_part_has_a_name_that_is_unique_across_jobs() -> None:
    job = replace(
        make_plan("vision-small").jobs[-1], rule="a/my.py:Mine+anchor", model="timm:resnet18", dataset="hf:owner/name"
    )
    assert set(parts(job)) == {"rule Mine", "model source timm", "data source hf", "trainer", "cuts", "anchors"}
    job = replace(job, rule="fa", model="net.py:build", dataset="digits", numerics={"dataset": 3, "rule": 2})
    assert parts(job) == {"rule fa": 2, "model net.py:build": 1, "data set digits": 3, "trainer": 1}
    assert changed(job) == {"data set digits": (3, 1)}
    assert rules.ANCHOR_NUMERICS == 1
    assert numerics_of("dfa+finish", "mlp", "digits")["finish"] == rules.FINISH_NUMERICS == 1
