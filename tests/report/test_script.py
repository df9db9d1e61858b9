"""A recorded job as a script: what it says, and what it refuses."""

from __future__ import annotations

import ast

import pytest

from grape_bench.errors import UserError
from grape_bench.plan.numerics import numerics_of
from grape_bench.record.record import Record
from grape_bench.report.script import script
from tests.score.records import failed, make


def record(rule: str = "dfa", **changes: object) -> Record:
    """A record of this version on the CPU."""
    numerics = numerics_of(rule, "mlp", "digits")
    return make(rule, 0, 93.1, hardware="cpu:x", **{"numerics": numerics, **changes})


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, ['net = gb.attach(model, "dfa", example, seed=SEED, axis=objective.axis)', "AdamW("]),
        ({"rule_settings": {"granularity": "layer"}}, ['gb.make_rule("dfa", granularity="layer")']),
        ({"optimizer": {"name": "torch:Adagrad", "lr": 0.1}}, ["torch.optim.Adagrad(net.parameter_groups(), lr=0.1)"]),
        ({"optimizer": {"name": "sgd", "lr": 1.0, "implementation": "fused"}}, ["lr=1.0, fused=True)"]),
        ({"schedule": "linear"}, ["return 1 - done / steps", "schedule.step()"]),
        ({"schedule": "constant", "warmup": 5}, ["if done < 5:", "return 1.0"]),
        ({"schedule": "step", "schedule_args": {"gamma": 0.5}}, ["0.5 ** sum(done >= share", "in [0.5, 0.75])"]),
        ({"clip": 2.0}, ["clip_grad_norm_(module.parameters(), 2.0)"]),
        ({"blocks": ["0.*"], "cuts": "both"}, ['axis=objective.axis, blocks=["0.*"], cuts="both")']),
        ({"deterministic": True}, ["torch.use_deterministic_algorithms(True)"]),
        ({"objective": "classification", "objective_args": {"label_smoothing": 0.1}}, ["label_smoothing=0.1)"]),
    ],
)
def test_each_setting_is_a_line_of_the_script(changes: dict[str, object], lines: list[str]) -> None:
    text = script(record(**changes))
    ast.parse(text)
    for line in lines:
        assert line in text
    assert "EPOCHS, BATCH_SIZE = 0, 20, 64" in text and "test accuracy = 93.1" in text


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"nproc": 2}, "nproc = 2"),
        ({"accumulate": 2}, "accumulate = 2"),
        ({"epochs": None, "steps": 100}, "steps = 100"),
        ({"select": "best"}, "select = 'best'"),
        ({"decay": "weights"}, "decay = 'weights'"),
        ({"compile": True}, "compile = True"),
        ({"precision": "bf16"}, "precision = 'bf16'"),
        ({"trial": 3}, "trial = 3"),
        ({"dataset": "csv:my", "contents": {"dataset": "1f"}}, "contents = {'dataset': '1f'}"),
        ({"model": "my.py:Net", "model_source": "1f"}, "model_source = '1f'"),
        ({"optimizer": {"name": "timm:lion", "lr": 1.0}}, "optimizer 'timm:lion'"),
        ({"schedule": "my.py:rate", "schedule_source": "1f"}, "schedule 'my.py:rate'"),
        ({"numerics": {"rule": 7}}, "version 7 of rule dfa"),
    ],
)
def test_what_the_script_cannot_repeat_is_refused_by_name(changes: dict[str, object], named: str) -> None:
    with pytest.raises(UserError, match="cannot repeat this job") as refused:
        script(record(**changes))
    assert named in str(refused.value)


def test_runs_without_a_training_to_repeat_are_refused() -> None:
    with pytest.raises(UserError, match="it ended as crashed"):
        script(failed("dfa", 0, "crashed", hardware="cpu:x"))
    with pytest.raises(UserError, match="fits a head instead of training"):
        script(record("frozen"))
    with pytest.raises(UserError, match=r"a file of your own, my\.py"):
        script(record("my.py:MyRule"))
    with pytest.raises(UserError, match="it ran on a GPU"):
        script(make("dfa", 0, 93.1, hardware="cuda:x"))
