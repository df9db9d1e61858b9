"""pydantic's errors become user errors: what is wrong, where in the file, what is allowed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from grape_bench.arguments import STRICT, check_value, parse_arguments, schema_error
from grape_bench.errors import UserError
from grape_bench.plan.suite import Suite


class Options(BaseModel):
    model_config = STRICT

    size: Annotated[int, Field(ge=1, description="an integer, at least 1")] = 1
    kind: Literal["red", "green"] = "red"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"sice": 2}, "data set 'x': unknown argument 'sice'; did you mean 'size'"),
        ({"size": 0}, "data set 'x': size = 0\n  allowed: an integer, at least 1"),
        ({"size": "2"}, "size = '2'"),
        ({"kind": "gren"}, "unknown kind 'gren'; did you mean 'green'"),
        ({"kind": 3}, "data set 'x': kind: must be 'red' or 'green', not 3"),
    ],
)
def test_arguments_of_a_model_or_data_set(args: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_arguments(Options, args, where="data set 'x'")
    assert message in str(caught.value)


def test_valid_arguments_are_returned_with_defaults() -> None:
    assert parse_arguments(Options, {"size": 3}, where="") == Options(size=3, kind="red")


def test_a_value_of_an_annotated_parameter() -> None:
    check_value("width", 3, Annotated[int, Field(ge=1)], where="model")
    with pytest.raises(UserError, match="model: width = 0"):
        check_value("width", 0, Annotated[int, Field(ge=1)], where="model")
    with pytest.raises(UserError, match="unknown kind 'gren'; did you mean 'green'"):
        check_value("kind", "gren", Literal["red", "green"], where="model")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"tuning": {"rule": {"dfa": {"lr": {"lg": [1]}}}}},
            "tuning.rule.dfa.lr: unknown key 'lg'; did you mean 'log'",
        ),
        ({"cluster": {"slurm": {"acount": "me"}}}, "cluster.slurm: unknown key 'acount'; did you mean 'account'"),
        (
            {"task": [{"name": "first", "epoch": 2}]},
            "my.toml: task 'first': unknown key 'epoch'; did you mean 'epochs'",
        ),
        ({"task": [{"epoch": 2}]}, "my.toml: task number 1: unknown key 'epoch'"),
    ],
)
def test_a_key_in_a_nested_table(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Suite.model_validate(more)
    assert message in str(schema_error(caught.value, Suite, more, where="my.toml"))
