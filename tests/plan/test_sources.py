"""A job's id covers all user files that it loads: after an edit the job is planned again, after a move it is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from grape_bench.plan.expand import make_plan
from grape_bench.plan.sources import changed_sources
from grape_bench.record.job import Job

SUITE = """\
name = "small"
version = "1"
rules = ["{rule}"]
seeds = 1
[[task]]
name = "own"
model = "{model}"
dataset = "{dataset}"
{more}
epochs = 1
batch_size = 32
optimizer = {{ name = "{optimizer}", lr = 1e-2 }}
schedule = "{schedule}"
"""
LIBRARY = {"rule": "dfa", "model": "mlp", "dataset": "digits", "optimizer": "sgd", "schedule": "constant", "more": ""}


def plan(folder: Path, **settings: str) -> Job:
    (folder / "small.toml").write_text(SUITE.format(**LIBRARY | settings))
    return make_plan(str(folder / "small.toml")).jobs[0]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of each kind, which is the working folder."""
    folder = tmp_path / "here"
    for name in ("beside.py", "pictures/train/cat/1.png", "table/train.csv", "hub/gpt/config.json", "tok.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("value = 1\n")
    (folder / "mine.py").write_text("import beside\ndef it(): ...\n")
    monkeypatch.chdir(folder)
    return folder


KINDS = {
    "a model's file": ({"model": "mine.py:it"}, "mine.py"),
    "a module that the model imports": ({"model": "mine.py:it"}, "beside.py"),
    "a module that the rule imports": ({"rule": "mine.py:it"}, "beside.py"),
    "a module that the loader imports": ({"dataset": "mine.py:it"}, "beside.py"),
    "a module that the optimizer imports": ({"optimizer": "mine.py:it"}, "beside.py"),
    "a module that the schedule imports": ({"schedule": "mine.py:it"}, "beside.py"),
    "a module that the objective imports": ({"more": 'objective = "mine.py:it"'}, "beside.py"),
    "a module of an augmentation": ({"more": 'dataset_args = { augment_with = "mine.py:it" }'}, "beside.py"),
    "a function among the arguments": ({"more": 'model_args = { act = "mine.py:it" }'}, "beside.py"),
    "a picture": ({"dataset": "imagefolder:pictures"}, "pictures/train/cat/1.png"),
    "a table": ({"dataset": "csv:table"}, "table/train.csv"),
    "a table whose folder has the name of its kind": (
        {"dataset": "csv:table", "more": 'dataset_args = { kind = "table" }'},
        "table/train.csv",
    ),
    "a local folder for datasets": ({"dataset": "hf:pictures"}, "pictures/train/cat/1.png"),
    "pretrained weights": ({"model": "hf:hub/gpt"}, "hub/gpt/config.json"),
    "pretrained weights for timm": ({"model": "timm:local-dir:hub/gpt"}, "hub/gpt/config.json"),
    "a tokenizer": ({"more": 'dataset_args = { tokenizer = "tok.json" }'}, "tok.json"),
    "the folder of a tokenizer": ({"more": 'dataset_args = { tokenizer = "hub" }'}, "hub/gpt/config.json"),
    "a file that a loader gets": (
        {"dataset": "mine.py:it", "more": 'dataset_args = { f = "table" }'},
        "table/train.csv",
    ),
    "a file in a rule's settings": ({"more": 'rule.dfa = { file = "tok.json" }'}, "tok.json"),
}
each = pytest.mark.parametrize(("settings", "file"), KINDS.values(), ids=KINDS.keys())


@each
def test_an_edit_plans_the_job_again(here: Path, settings: dict[str, str], file: str) -> None:
    before = plan(here, **settings)
    assert plan(here, **settings).id == before.id and changed_sources(before) == []
    (here / file).write_text("value = 2\n")
    assert plan(here, **settings).id != before.id and len(changed_sources(before)) == 1
    assert plan(here, **settings).definition == before.definition


@each
def test_the_same_content_elsewhere_has_the_same_id(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], file: str
) -> None:
    before = plan(here, **settings)
    there = Path(shutil.copytree(here, tmp_path / "there"))
    (there / "pictures").rename(there / "photos")
    (there / "tok.json").rename(there / "other.json")
    (there / "table").rename(there / "rows")
    monkeypatch.chdir(there)
    names = {"pictures": "photos", "tok.json": "other.json", "csv:table": "csv:rows", 'f = "table"': 'f = "rows"'}
    moved = dict(settings)
    for key in settings:
        for old, new in names.items():
            moved[key] = moved[key].replace(old, new)
    job = plan(there, **moved)
    assert (job.id, job.definition) == (before.id, before.definition)
    assert Job.from_dict(json.loads(json.dumps(job.to_dict()))).id == job.id


def test_a_job_without_files_has_no_hashes_whatever_lies_in_the_folder(here: Path) -> None:
    (here / "mlp").mkdir(), (here / "relu").mkdir()
    job = plan(here, more='model_args = { act = "relu" }')
    assert job.contents is job.rule_contents is None
    assert {job.model_source, job.dataset_source, job.objective_source, job.optimizer_source, job.data_content} == {""}


def test_other_files_in_a_folder_of_tables_do_not_count(here: Path) -> None:
    before = plan(here, dataset="csv:table")
    (here / "table" / "README.md").write_text("about")
    assert plan(here, dataset="csv:table").id == before.id


def test_the_content_of_a_named_data_set_is_known_and_not_in_the_id(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRAPE_BENCH_DATA", raising=False)
    bare = plan(here, dataset="mnist")
    monkeypatch.setenv("GRAPE_BENCH_DATA", str(here))
    (here / "mnist").mkdir()
    (here / "mnist" / "train.parquet").write_text("one")
    first = plan(here, dataset="mnist")
    (here / "mnist" / "train.parquet").write_text("two")
    second = plan(here, dataset="mnist")
    assert bare.id == first.id == second.id and "" == bare.data_content != first.data_content != second.data_content
    assert changed_sources(first) == ["data_content"]
    assert second.is_current(second) and not second.is_current(first)
    assert second.is_current(bare), "a record from before the content was recorded stays valid"
    assert bare.is_current(first), "this machine may read the data set from the Hub"
