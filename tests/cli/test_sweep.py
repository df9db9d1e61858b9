"""The options for running jobs that `run`, `tune` and `compare` share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grape_bench.cli.sweep import parse_bytes, request_of
from grape_bench.errors import UserError
from grape_bench.execute.sweep import Request
from grape_bench.plan.expand import make_plan
from grape_bench.train.checkpoint_files import Period

GIVEN: dict[str, Any] = {
    "slots": None,
    "threads": None,
    "executor": "local",
    "shard": None,
    "cluster": None,
    "array_parallelism": None,
    "time_limit": None,
    "memory_limit": None,
    "checkpoint_every": "60s",
    "retry": "crashed,oom,timeout",
    "fresh": False,
}


def request(**given: Any) -> Request:
    return request_of(make_plan("quickstart"), Path("runs/quickstart"), {**GIVEN, **given})


def test_limits_and_periods_reach_the_executor() -> None:
    options = request(memory_limit="1.5GiB", checkpoint_every="2epochs", time_limit=3.0).options
    assert (options.memory_limit, options.time_limit_s) == (3 * 2**29, 3)
    assert options.checkpoint_every == Period(epochs=2)
    assert request().options.memory_limit is None


@pytest.mark.parametrize(
    ("text", "statuses"), [("none", ()), ("oom", ("oom",)), ("timeout,crashed", ("timeout", "crashed"))]
)
def test_the_failures_to_retry(text: str, statuses: tuple[str, ...]) -> None:
    assert request(retry=text).retry == statuses


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("retry", "crashd", r"--retry: unknown status 'crashd'; did you mean 'crashed'\?\n  allowed: crashed, none"),
        ("retry", "finished", "--retry: unknown status 'finished'"),
        ("retry", "", "--retry: unknown status ''"),
        ("memory_limit", "2", "--memory-limit: '2' is not an amount of memory\n  allowed: such as 800MB"),
        ("checkpoint_every", "60", "--checkpoint-every: '60' is not a period\n  allowed: 60s, 5min"),
    ],
)
def test_invalid_values_are_user_errors(option: str, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        request(**{option: text})


@pytest.mark.parametrize(("text", "size"), [("800MB", 800_000_000), ("2.5 GiB", 5 * 2**29), ("1kB", 1000)])
def test_amounts_of_memory(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "2", "2gb", "0GB", "-1GB", "2 GB GB"])
def test_an_invalid_amount_is_a_user_error(text: str) -> None:
    with pytest.raises(UserError, match=r"--memory-limit: .*\n  allowed: such as 800MB, 2GB, 2.5GiB"):
        parse_bytes(text, where="--memory-limit")
