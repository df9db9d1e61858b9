"""The identity of a job: what is part of it, and what is not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from grape_bench.record.job import Job

JOB = Job(
    suite="small",
    version="1.0",
    task="first",
    rule="dfa",
    rule_settings={"scale": 1.0},
    rule_source="0123456789abcdef",
    seed=0,
    model="mlp",
    model_args={"hidden": [8]},
    dataset="digits",
    dataset_args={},
    epochs=2,
    batch_size=64,
    optimizer={"name": "adamw", "lr": 1e-3},
    schedule="constant",
)


def test_the_id_of_a_known_job_never_changes_by_accident() -> None:
    # A new value here makes every record out there run again: raise IDENTITY_VERSION only for a reason.
    assert JOB.id == "bb2e7c9b73fb697e"
    assert JOB.name == "first.dfa.s0.bb2e7c9b"


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"rule_settings": {"scale": 2.0}},
        {"rule_source": "f" * 16},
        {"optimizer": {"name": "adamw", "lr": 2e-3}},
        {"version": "1.1"},
        {"epochs": 3},
        {"precision": "bf16"},
        {"compile": True},
        {"deterministic": True},
        {"epochs": None, "steps": 100},
        {"accumulate": 2},
        {"evaluate_every": 10},
        {"warmup": 10},
        {"schedule_args": {"gamma": 0.5}},
        {"clip": 1.0},
        {"decay": "weights"},
        {"groups": {"head": {"frozen": True}}},
        {"ema": 0.9},
        {"select": "best"},
        {"optimizer_source": "f" * 16},
        {"schedule_source": "f" * 16},
        {"model_source": "f" * 16},
        {"dataset": "csv:here", "contents": {"dataset": "f" * 16}},
        {"rule_settings": {"file": "here"}, "rule_contents": {"rule_settings/file": "f" * 16}},
        {"trials": 8},
        {"trial": 0},
        {"numerics": {"trainer": 2}},
    ],
)
def test_whatever_changes_the_result_changes_the_id(change: dict[str, object]) -> None:
    assert replace(JOB, **change).id != JOB.id


def test_order_of_settings_and_measuring_step_time_do_not_count() -> None:
    assert replace(JOB, optimizer={"lr": 1e-3, "name": "adamw"}).id == JOB.id
    assert replace(JOB, profile=True).id == replace(JOB, probes=3).id == replace(JOB, features=False).id == JOB.id


def test_an_integer_of_1_is_left_out_of_the_id() -> None:
    assert replace(JOB, numerics={"rule": 1, "cuts": 1}).id == JOB.id
    raised = replace(JOB, numerics={"rule": 1, "cuts": 2})
    assert raised.id == replace(JOB, numerics={"cuts": 2}).id != JOB.id
    assert raised.definition == JOB.definition


def test_the_id_covers_the_class_and_content_of_a_rules_file_and_not_its_path() -> None:
    here, there = replace(JOB, rule="my.py:MyRule"), replace(JOB, rule="elsewhere/other.py:MyRule")
    assert here.id == there.id
    assert here.name.startswith("first.MyRule.s0.")
    assert replace(JOB, rule="a/b.py:MyRule+anchor").name.startswith("first.MyRule+anchor.s0.")


def test_the_id_covers_the_files_of_an_optimizer_and_a_schedule_and_not_their_paths() -> None:
    def identity(folder: str, source: str) -> str:
        optimizer = {"name": f"{folder}/my.py:Mine", "lr": 1e-3}
        sources = {"optimizer_source": source, "schedule_source": source}
        return replace(JOB, optimizer=optimizer, schedule=f"{folder}/my.py:half", **sources).id

    assert identity("here", "a" * 16) == identity("there", "a" * 16) != identity("here", "b" * 16)


def test_the_id_covers_the_content_of_folders_and_not_their_names() -> None:
    def identity(folder: str, content: str) -> str:
        args = {"kind": folder, "files": ["a", folder]}
        contents = {"dataset": content, "dataset_args/files/1": content}
        return replace(JOB, dataset=f"csv:{folder}", dataset_args={**args, "kind": "table"}, contents=contents).id

    assert identity("table", "a" * 16) == identity("there", "a" * 16) != identity("table", "b" * 16)


def test_the_content_of_a_named_data_set_is_not_in_the_id() -> None:
    assert replace(JOB, data_content="f" * 16).id == JOB.id


def test_a_job_is_the_same_after_json() -> None:
    again = Job.from_dict(json.loads(json.dumps(JOB.to_dict())))
    assert again == JOB
    assert again.id == JOB.id
