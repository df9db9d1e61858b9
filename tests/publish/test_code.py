"""A publication contains the user's code, and names the data that it does not contain."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from grape_bench.data.content import content_hash
from grape_bench.errors import UserError
from grape_bench.plan.numerics import numerics_of
from grape_bench.plan.sources import changed_sources, rule_sources, task_sources
from grape_bench.publish.checks import identity, source
from grape_bench.publish.index import write_index
from grape_bench.publish.pack import About, pack
from grape_bench.publish.relocate import localized, needs
from grape_bench.publish.rerun import draw
from grape_bench.publish.submission import read_submission
from grape_bench.record.folder import read_records
from grape_bench.record.job import Job
from grape_bench.record.record import write_record
from grape_bench.registry import split_file_reference
from grape_bench.user_code import load_file
from tests.publish.test_verify import RECORDED

RULE = "import beside, grape_bench as gb\n\nclass Mine(gb.DirectFeedback):\n    word = beside.word\n"
KINDS = ("model", "loader", "augment", "objective", "optimizer", "schedule", "act")


@pytest.fixture
def author(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a rule, a file of every other kind, a module that they import, and data; runs/ has the records."""
    folder = tmp_path / "author"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "a.npy").write_text("numbers")
    (folder / "beside.py").write_text("word = 'hello'\n")
    (folder / "rule.py").write_text(RULE)
    for kind in KINDS:
        (folder / f"{kind}.py").write_text(f"from beside import word\n\ndef it():\n    return {kind!r}\n")
    monkeypatch.chdir(folder)
    for record in read_records(RECORDED):
        job = of_user(record.job)
        (folder / "runs" / job.name).mkdir(parents=True)
        write_record(folder / "runs" / job.name, replace(record, job=job, id=job.id, name=job.name))
        shutil.copyfile(RECORDED / record.name / "curve.csv", folder / "runs" / job.name / "curve.csv")
    shutil.copyfile(RECORDED / "suite.toml", folder / "runs" / "suite.toml")
    return folder


def of_user(job: Job) -> Job:
    """`job` with files of the user's wherever a file may stand."""
    rule = "rule.py:Mine" if job.rule == "grape" else job.rule
    job = replace(
        job,
        rule=rule,
        model="model.py:it",
        model_args={"act": "act.py:it"},
        dataset="loader.py:it",
        dataset_args={"augment_with": "augment.py:it", "folder": "data"},
        objective="objective.py:it",
        optimizer={**job.optimizer, "name": "optimizer.py:it"},
        schedule="schedule.py:it",
    )
    found = rule_sources(job.rule_name.reference, job.rule_settings) if rule == "rule.py:Mine" else {}
    numerics = numerics_of(job.rule, job.model, job.dataset, job.objective)
    return replace(job, numerics=numerics, **task_sources(job.to_dict()), **found)


def references(job: Job) -> list[str]:
    args, data_args = job.model_args, job.dataset_args
    named = [job.model, job.dataset, job.optimizer["name"], job.schedule, args["act"], data_args["augment_with"]]
    return [*named, str(job.objective), job.rule]


def test_a_rerun_finds_everything_in_the_publication(author: Path, tmp_path: Path) -> None:
    folder = pack(author / "runs", "Mine", tmp_path / "results", About())
    submission = read_submission(folder)
    assert not list(source.problems(submission)) and not list(identity.problems(submission))
    assert (folder / "source.py").read_text() == RULE
    data = Path(shutil.move(author / "data", tmp_path / "copy"))
    for path in author.glob("*.py"):
        path.unlink()

    (record,) = draw(submission, 1, seed=0)
    job = localized(record.job, submission.folder, [data])
    assert job.id == submission.records[job.name].id and changed_sources(job) == []
    assert job.dataset_args["folder"] == str(data)
    paths = [split_file_reference(reference)[0] for reference in references(job)]
    assert all(path.is_relative_to(folder) and load_file(path).__name__ for path in paths) and len(set(paths)) == 8
    assert load_file(split_file_reference(job.rule)[0]).Mine.word == "hello"


def test_missing_data_is_named_by_its_content(author: Path, tmp_path: Path) -> None:
    digest = content_hash(author / "data")
    submission = read_submission(pack(author / "runs", "Mine", tmp_path / "results", About()))
    assert needs(record.job for record in submission.records.values()) == [f"data (content {digest})"]
    (record,) = draw(submission, 1, seed=0)
    found = localized(record.job, submission.folder, [])
    assert found.dataset_args["folder"] == str(author / "data"), "a rerun has another current folder"
    (author / "data" / "a.npy").write_text("other numbers")
    with pytest.raises(UserError, match="these runs read 'data'") as error:
        localized(record.job, submission.folder, [author])
    assert digest in error.value.where and "--data" in error.value.hint


def test_a_named_data_set_with_other_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "train.parquet").write_text("pictures")
    monkeypatch.setenv("GRAPE_BENCH_DATA", str(tmp_path))
    job = next(record.job for record in read_records(RECORDED) if record.job.dataset == "mnist")
    localized(replace(job, data_content=content_hash(tmp_path / "mnist")), tmp_path, [])
    with pytest.raises(UserError, match="mnist has the content"):
        localized(replace(job, data_content="0" * 16), tmp_path, [])


@pytest.mark.parametrize("name", ["model.py", "beside.py", "rule.py"])
def test_a_file_that_has_changed_is_not_published(author: Path, tmp_path: Path, name: str) -> None:
    (author / name).write_text((author / name).read_text() + "# changed\n")
    with pytest.raises(UserError, match="changed since the runs"):
        pack(author / "runs", "Mine", tmp_path / "results", About())
    assert not (tmp_path / "results" / "vision-small" / "Mine").exists()


@pytest.mark.parametrize("name", ["model.py", "beside.py", "rule.py"])
def test_a_changed_or_missing_file_is_a_problem_of_the_publication(author: Path, tmp_path: Path, name: str) -> None:
    folder = pack(author / "runs", "Mine", tmp_path / "results", About())
    every = sorted(folder.glob(f"code/*/{name}"))
    assert every
    for path in every:
        path.write_text(path.read_text() + "# changed\n")
    write_index(folder)
    assert [problem for problem in source.problems(read_submission(folder)) if "another hash" in problem]
    for path in every:
        path.unlink()
    write_index(folder)
    assert [problem for problem in source.problems(read_submission(folder)) if "is missing" in problem]


def test_a_source_that_is_not_the_rule(author: Path, tmp_path: Path) -> None:
    folder = pack(author / "runs", "Mine", tmp_path / "results", About())
    (folder / "source.py").write_text("class Mine: ...\n")
    assert [problem for problem in source.problems(read_submission(folder)) if "is not the rule's file" in problem]
    built_in = pack(RECORDED, "grape", tmp_path / "results", About())
    (built_in / "source.py").write_text("")
    assert [problem for problem in source.problems(read_submission(built_in)) if "belongs to no run" in problem]
