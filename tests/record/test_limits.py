"""Settings that no plan makes are damage, and no name leads out of the folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from grape_bench.record.record import parse_record
from grape_bench.record.typed_json import ShapeError

RECORDED = Path(__file__).parents[2] / "results" / "quickstart" / "runs"


def text(**job: Any) -> str:
    """A recorded file with other settings."""
    record = json.loads(next(RECORDED.glob("digits-mlp.dfa.s0.*/record.json")).read_text())
    record["job"] |= job
    record |= {key: job[key] for key in ("suite", "task", "rule", "seed") if key in job}
    return json.dumps(record)


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({"epochs": 10**9}, "job.epochs is 1000000000"),
        ({"epochs": 0}, "job.epochs is 0"),
        ({"epochs": None, "steps": 10**15}, "job.steps"),
        ({"seed": -1}, "job.seed is -1"),
        ({"trials": 10**9}, "job.trials"),
        ({"batch_size": 0}, "job.batch_size"),
        ({"cuts": "/etc/passwd"}, "job.cuts is '/etc/passwd', not one of depth, time, both"),
        ({"space": {"lr": {"log": [float("nan"), 1]}}}, "job.space.lr is neither"),
        ({"space": {"lr": {"log": [0, 1]}}}, "job.space.lr is neither"),
        ({"space": {"lr": 3}}, "job.space.lr is neither"),
        ({"optimizer": {"lr": 1}}, "job.optimizer.name is not a string"),
        ({"contents": {"model_args/file": "0" * 16}}, "which is not a setting"),
        ({"task": "../../x"}, "is not the name of a folder"),
        ({"suite": "/tmp"}, "is not the name of a folder"),
        ({"rule": "a.py:../../x"}, "is not the name of a folder"),
        ({"rule": "x" * 501}, "longer than 500 characters"),
        ({"model": ""}, "job.model is empty"),
        ({"open_by": "x" * 501}, "job.open_by is empty, or longer than 500 characters"),
    ],
)
def test_a_setting_that_no_plan_makes(job: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        parse_record(text(**job))
    assert parse_record(text()).rule == "dfa"


def test_a_records_name_stays_in_its_folder() -> None:
    with pytest.raises(ShapeError, match="is not the name of a folder"):
        parse_record(text().replace('"name": "digits-mlp.dfa', '"name": "../digits-mlp.dfa', 1))
