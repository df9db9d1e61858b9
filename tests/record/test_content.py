"""JSON and TOML from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from grape_bench.record import content
from grape_bench.record.content import parse_json, parse_object, parse_toml
from grape_bench.record.typed_json import ShapeError


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_object, '{"a": 1, "a": 2}', "the key 'a' appears twice"),
        (parse_object, '{"a": {"b": 1, "b": 2}}', "the key 'b' appears twice"),
        (parse_object, "[" * 40 + "]" * 40, "nested too deeply"),
        (parse_object, '{"a":' * 900 + "1" + "}" * 900, "nested too deeply"),
        (parse_object, '{"a": 1' + "0" * 400 + "}", "more than 64 bits"),
        (parse_object, "[1]", "not a JSON object"),
        (parse_toml, "a = " + "[" * 40 + "]" * 40, "nested too deeply"),
        (parse_toml, "a.b.c." * 20 + "d = 1", "nested too deeply"),
        (parse_toml, "a = 1" + "0" * 400, "more than 64 bits"),
    ],
)
def test_what_no_program_of_ours_writes(parse: Callable[[str], Any], text: str, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        parse(text)


def test_nesting_of_any_depth_is_an_error_that_readers_expect() -> None:
    for text in ("[" * 100_000, "[" * 100_000 + "]" * 100_000):
        with pytest.raises((ValueError, RecursionError)):
            parse_json(text)


def test_too_many_values_are_counted_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("json.loads", lambda *_, **__: pytest.fail("it was parsed"))
    with pytest.raises(ShapeError, match="more than 100000 values"):
        parse_json("[" + "1," * (content.MOST_VALUES + 1) + "1]")
