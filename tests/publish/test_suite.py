"""Published jobs must be the ones that the suite and the recorded tuned settings define."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.plan.expand import make_plan
from grape_bench.plan.find import shipped
from grape_bench.plan.job import make_job
from grape_bench.plan.overrides import Overrides
from grape_bench.publish.baselines import _as_submission
from grape_bench.publish.checks import run, suite
from grape_bench.publish.pack import About, pack
from grape_bench.publish.verify import Verification, verify
from grape_bench.record.folder import read_records
from grape_bench.record.job import Job, Of, names_of
from grape_bench.record.manifest import MANIFEST, Manifest
from grape_bench.record.record import Record, write_record

RECORDED = Path(__file__).parents[2] / "results" / "quickstart" / "runs"


def published(folder: Path, job_of: Callable[[Record], Job]) -> Verification:
    """Publish GrAPE of the recorded quickstart, with the jobs that `job_of` returns."""
    runs = folder / "runs" / "quickstart"
    runs.mkdir(parents=True)
    shutil.copyfile(RECORDED / "suite.toml", runs / "suite.toml")
    jobs = []
    for record in read_records(RECORDED):
        job = job_of(record)
        shutil.copytree(RECORDED / record.name, runs / job.name)
        write_record(runs / job.name, replace(record, job=job, id=job.id, name=job.name))
        jobs.append(job)
    Manifest("quickstart", "1.1", record.environment.git, jobs).write(runs)
    assert (runs / MANIFEST).is_file()
    return verify(pack(runs, "grape", folder / "results", About()))


def failing(verification: Verification) -> dict[str, tuple[str, ...]]:
    return {outcome.name: outcome.problems for outcome in verification.outcomes if not outcome.ok}


def test_the_recorded_runs_are_those_of_the_suite(tmp_path: Path) -> None:
    verification = published(tmp_path, lambda record: record.job)
    assert failing(verification) == {} and verification.badge == "recomputed"


def test_settings_from_the_command_line_fail_the_suite_check(tmp_path: Path) -> None:
    """A crippled BP makes every other rule look good, although its records are consistent."""
    crippled = Overrides(settings=("task.precision=bf16", "task.optimizer.lr=0.03"), untuned=True)
    jobs = {(job.task, job.rule, job.seed): job for job in make_plan("quickstart", crippled).jobs}
    verification = published(tmp_path, lambda record: jobs.get((record.task, record.rule, record.seed), record.job))
    found = failing(verification)
    assert list(found) == ["suite"] and verification.badge == "reported"
    assert any("precision = bf16, but the suite gives fp32" in problem for problem in found["suite"])
    assert any("optimizer = " in problem and "0.03" in problem for problem in found["suite"])


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "bf16"},
        {"compile": True},
        {"deterministic": True},
        {"optimizer": {"name": "adamw", "lr": 0.03}},
        {"rule_settings": {"scale": 9.0}},
        {"rule_source": "0" * 16},
        {"trials": 1},
        {"trials": 80},
        {"batch_size": 32},
        {"schedule": "cosine"},
        {"model_args": {"hidden": [8]}},
    ],
)
def test_one_changed_setting_is_found(tmp_path: Path, change: dict[str, object]) -> None:
    def job_of(record: Record) -> Job:
        # Rules with unequal budgets are refused before they are packed.
        of_all = change.keys() <= set(names_of(Of.TASK, Of.SEARCH))
        return replace(record.job, **change) if of_all or record.rule == "dfa" else record.job

    assert "suite" in failing(published(tmp_path, job_of))


def test_open_settings_of_the_baselines_are_those_of_their_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = make_plan("quickstart", Overrides(untuned=True))
    definition = make_job(plan.suite, plan.suite.tasks[0], "fa", 0).definition
    folder = tmp_path / "baselines" / "quickstart"
    folder.mkdir(parents=True)
    (folder / "open.toml").write_text(
        '[[open]]\nrule = "fa"\nby = "Jane Doe"\nsource = "by hand"\ndate = 2026-07-01\n'
        f'[open.task.digits-mlp]\nsettings = {{ lr = 0.02 }}\ndefinition = "{definition}"\n'
    )
    (job,) = make_plan("quickstart", Overrides(only=("fa",), seeds=1, untuned=True, open=True)).jobs[1:2]
    assert job.rule == "fa:open"
    (fa,) = [one for one in read_records(RECORDED) if (one.task, one.rule, one.seed) == ("digits-mlp", "fa", 0)]

    def problems(job: Job, *names: str, card: str = "fa") -> list[str]:
        submission = _as_submission(RECORDED, [replace(fa, job=job, id=job.id, name=job.name)])
        submission = replace(submission, card=submission.card.model_copy(update={"name": card}))
        return [problem for outcome in run(submission, names) for problem in outcome.problems]

    assert problems(job, "suite") == [f"{job.name}: no open settings of fa on digits-mlp are known"], "they do not ship"
    monkeypatch.setattr(suite, "shipped", lambda name: tmp_path / name if name == "baselines" else shipped(name))
    assert problems(job, "suite", "budgets", "identity") == []
    (problem,) = problems(replace(job, optimizer={**job.optimizer, "lr": 0.9}), "suite")
    assert "'lr': 0.9" in problem and "but the suite gives" in problem
    (problem,) = problems(job, "selection", card="fa:open")
    assert "open settings are not a submission" in problem
    with pytest.raises(UserError, match="'fa:open' has open settings, which are not published"):
        pack(RECORDED, "fa:open", tmp_path, About())


def test_seed_measuring_and_processes_are_free(tmp_path: Path) -> None:
    verification = published(tmp_path, lambda record: replace(record.job, probes=3, nproc=2))
    assert failing(verification) == {}
