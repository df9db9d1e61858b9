"""Parse untrusted JSON or TOML: no duplicate keys, no deep nesting, no integers of more than 64 bits."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from typing import Any

from grape_bench.record.typed_json import ShapeError

DEEPEST = 32
LARGEST_INTEGER = 2**64
MOST_VALUES = 100_000  # of a record, which has a few thousand for a network of a thousand blocks


def parse_json(text: str, most: int = MOST_VALUES) -> Any:
    """The JSON value in `text`. Raises ValueError and RecursionError."""
    if text.count(",") > most:
        raise ShapeError(f"it has more than {most} values")
    value = json.loads(text, object_pairs_hook=_once)
    check_values(value)
    return value


def parse_object(text: str, most: int = MOST_VALUES) -> dict[str, Any]:
    """The JSON object in `text`. Raises ValueError and RecursionError."""
    content = parse_json(text, most)
    if not isinstance(content, dict):
        raise ShapeError("it is not a JSON object")
    return content


def parse_toml(text: str) -> dict[str, Any]:
    """The TOML document in `text`. Raises ValueError, which includes tomllib.TOMLDecodeError, and RecursionError."""
    content = tomllib.loads(text)
    check_values(content)
    return content


def check_values(value: object) -> None:
    """Raise ShapeError if `value` is nested too deeply, or holds an integer that no field can hold."""
    left: list[tuple[Any, int]] = [([value], -1)]
    while left:
        outer, depth = left.pop()
        if outer and depth >= DEEPEST:
            raise ShapeError("it is nested too deeply")
        for inner in outer.values() if type(outer) is dict else outer:
            kind = type(inner)
            if kind is dict or kind is list:
                left.append((inner, depth + 1))
            elif kind is int and abs(inner) > LARGEST_INTEGER:
                raise ShapeError("it has an integer of more than 64 bits")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ShapeError(f"the key {name!r} appears twice")
    return content
