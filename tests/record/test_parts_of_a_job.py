"""Every list of a job's fields is derived from the fields."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from grape_bench.plan.suite import Task
from grape_bench.record.job import Job, Of, names_of
from grape_bench.record.record import Outcome, Record, read_record
from grape_bench.record.status import Status
from grape_bench.score.table import score

RECORDED = Path(__file__).parents[2] / "results"
YOUNGER = {
    "numerics": {},
    "blocks": None,
    "granularity": "block",
    "cuts": "depth",
    "objective": None,
    "objective_args": None,
    "model_source": "",
    "contents": None,
    "rule_contents": None,
    "data_content": "",
    "objective_source": "",
    "dataset_source": "",
    "optimizer_source": "",
    "schedule_source": "",
    "steps": None,
    "accumulate": 1,
    "evaluate_every": None,
    "warmup": 0,
    "schedule_args": None,
    "clip": None,
    "decay": "all",
    "groups": None,
    "ema": None,
    "select": "last",
}  # fields that some of these records lack
LATER = ("blocks", "granularity", "cuts", "compile", "deterministic", "nproc", "trials", "trial", "probes", "objective")


def test_a_job_has_every_key_of_a_task_that_can_change_its_result() -> None:
    # name is the job's task; optimizer and rule are the same for no two rules, and make_job merges them. seeds, only
    # and skip say which jobs there are.
    left_out = {"name", "optimizer", "rule", "seeds", "only", "skip"}
    assert {*names_of(Of.TASK, Of.LAUNCH)} == set(Task.model_fields) - left_out


def test_every_field_belongs_to_a_group() -> None:
    assert {name for of in Of for name in names_of(of)} == {field.name for field in fields(Job)}


def test_every_recorded_job_has_the_id_of_its_settings_and_is_written_as_it_was_read() -> None:
    paths = sorted(RECORDED.glob("*/runs/*/record.json"))
    assert len(paths) >= 108
    for path in paths:
        record = read_record(path)
        assert record.id == record.job.id and record.name == record.job.name == path.parent.name
        written = json.loads(path.read_text())
        for name, default in YOUNGER.items():
            written["job"].setdefault(name, default)
        assert record.to_dict() == written


def test_records_from_before_nproc_load_and_are_scored_with_new_ones() -> None:
    old, new = [], []
    for path in sorted(RECORDED.glob("vision-small/runs/*.s[01].*/record.json")):
        content = json.loads(path.read_text())
        if content["seed"] == 0:
            content["job"] = {key: value for key, value in content["job"].items() if key not in LATER}
        (new if content["seed"] else old).append(Record.from_dict(content))
    assert old and new and all(record.job.nproc == 1 and record.id == record.job.id for record in old)
    assert set(score([*old, *new])["n"]) == {2}


@pytest.mark.parametrize("name", ["test", "test_loss", "validation_loss"])
def test_a_result_that_is_not_finite_is_a_divergence(name: str) -> None:
    measured = read_record(next(RECORDED.glob("quickstart/runs/*.bp.s0.*/record.json"))).to_dict()
    parts = {field.name: measured.get(field.name) for field in fields(Outcome)}
    parts["result"][name] = float("nan")
    outcome = Outcome.from_dict(parts)
    assert outcome.status is Status.DIVERGED and outcome.reason == f"result.{name} is nan" and outcome.result is None
