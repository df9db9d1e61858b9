"""Frozen dataclasses from JSON and back, every value checked against its annotation.

The metadata of a field may say `key` (its name in the JSON), `optional` (left out of the JSON where it is None), or
`rest` (a mapping of all keys that no other field has, stored beside them).
"""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
OPTIONAL = types.MappingProxyType({"optional": True})
REST = types.MappingProxyType({"rest": True})


class ShapeError(ValueError):
    """A JSON value that is not what a type asks for. The message starts with its place, such as `result.test`."""


def encode(value: Any) -> Any:
    """`value` as JSON types."""
    if is_dataclass(value) and not isinstance(value, type):
        return _encode_fields(value)
    if isinstance(value, Mapping):
        return {key: encode(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [encode(inner) for inner in value]
    return value.value if isinstance(value, Enum) else value


def _encode_fields(value: Any) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for field in fields(value):
        inner = getattr(value, field.name)
        if field.metadata.get("rest"):
            content.update(encode(inner))
        elif inner is not None or not field.metadata.get("optional"):
            content[_key(field)] = encode(inner)
    return content


def decode(kind: type[T], value: object, place: str = "") -> T:
    """`value`, as JSON has it, as a `kind`; raises ShapeError."""
    found: T = _decode(kind, value, place)
    return found


def _decode(kind: Any, value: Any, place: str) -> Any:
    if kind is Any:
        return value
    if get_origin(kind) in (Union, types.UnionType):
        inner = [arm for arm in get_args(kind) if arm is not type(None)]
        return None if value is None else _decode(inner[0], value, place)
    if is_dataclass(kind):
        return _decode_fields(kind, _expect(dict, value, place, "an object"), place)
    origin = get_origin(kind) or kind
    if origin in (Mapping, dict):
        arguments = get_args(kind)
        content = _expect(dict, value, place, "an object")
        return {k: _decode(arguments[1], v, _join(place, k)) for k, v in content.items()} if arguments else content
    if origin in (tuple, list):
        items = _expect(list, value, place, "a list")
        return origin(_decode(get_args(kind)[0], v, f"{place}[{i}]") for i, v in enumerate(items))
    return _decode_plain(kind, value, place)


def _decode_plain(kind: Any, value: Any, place: str) -> Any:
    if kind is float:
        # An integer is a float without a fraction; one beyond the largest float is damage.
        if type(value) is int and abs(value) <= sys.float_info.max:
            return value
        return _expect(float, value, place, "a number")
    if issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError as error:
            allowed = ", ".join(str(member.value) for member in kind)
            raise ShapeError(f"{place}: {value!r} is not one of {allowed}") from error
    words = {str: "a text", int: "an integer", bool: "true or false"}
    return _expect(kind, value, place, words[kind])


def _decode_fields(kind: Any, content: dict[str, Any], place: str) -> Any:
    hints, found, rest = _hints(kind), {}, dict(content)
    for field in fields(kind):
        key = _key(field)
        if field.metadata.get("rest"):
            continue
        if key in content:
            found[field.name] = _decode(hints[field.name], rest.pop(key), _join(place, key))
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ShapeError(f"{_join(place, key)} is missing")
    for field in fields(kind):
        if field.metadata.get("rest"):
            found[field.name] = _decode(hints[field.name], rest, place)
            rest = {}
    if rest and getattr(kind, "KNOWS_ALL_KEYS", False):
        raise ShapeError(f"{_join(place, next(iter(rest)))} is not a key of {kind.__name__}")
    return kind(**found)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _key(field: Field[Any]) -> str:
    return str(field.metadata.get("key", field.name))


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _expect(kind: type, value: Any, place: str, words: str) -> Any:
    if type(value) is not kind:
        raise ShapeError(f"{place or 'the content'} is not {words}")
    return value
