"""Encode frozen dataclasses as JSON and decode them, with every value checked against its annotation.

The metadata of a field may have `key` (its name in the JSON), `optional` (None leaves it out of the JSON), or `rest`.
A `rest` field maps the keys that match no other field. The JSON stores them next to the others.
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
    """Raised for a JSON value of the wrong type. The message starts with its location, such as `result.test`."""


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


def listed(value: Any) -> Any:
    """Measured values with tuples turned into lists, as in JSON."""
    if isinstance(value, Mapping):
        return {key: listed(inner) for key, inner in value.items()}
    return [listed(inner) for inner in value] if isinstance(value, list | tuple) else value


def decode(kind: type[T], value: object, where: str = "") -> T:
    """Decode the JSON `value` as a `kind`. Raises ShapeError."""
    found: T = _decode(kind, value, where)
    return found


def _decode(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    if get_origin(kind) in (Union, types.UnionType):
        inner = [arm for arm in get_args(kind) if arm is not type(None)]
        return None if value is None else _decode(inner[0], value, where)
    if is_dataclass(kind):
        return _decode_fields(kind, _expect(dict, value, where, "an object"), where)
    origin = get_origin(kind) or kind
    if origin in (Mapping, dict):
        arguments = get_args(kind)
        content = _expect(dict, value, where, "an object")
        return {k: _decode(arguments[1], v, _join(where, k)) for k, v in content.items()} if arguments else content
    if origin in (tuple, list):
        items = _expect(list, value, where, "a list")
        return origin(_decode(get_args(kind)[0], v, f"{where}[{i}]") for i, v in enumerate(items))
    return _decode_plain(kind, value, where)


def _decode_plain(kind: Any, value: Any, where: str) -> Any:
    if kind is float:
        # An integer is also a float. One beyond the largest float is damage.
        if type(value) is int and abs(value) <= sys.float_info.max:
            return value
        return _expect(float, value, where, "a number")
    if issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError as error:
            allowed = ", ".join(str(member.value) for member in kind)
            raise ShapeError(f"{where}: {value!r} is not one of {allowed}") from error
    words = {str: "a string", int: "an integer", bool: "true or false"}
    return _expect(kind, value, where, words[kind])


def _decode_fields(kind: Any, content: dict[str, Any], where: str) -> Any:
    hints, found, rest = _hints(kind), {}, dict(content)
    for field in fields(kind):
        key = _key(field)
        if field.metadata.get("rest"):
            continue
        if key in content:
            found[field.name] = _decode(hints[field.name], rest.pop(key), _join(where, key))
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ShapeError(f"{_join(where, key)} is missing")
    for field in fields(kind):
        if field.metadata.get("rest"):
            found[field.name] = _decode(hints[field.name], rest, where)
            rest = {}
    if rest and getattr(kind, "KNOWS_ALL_KEYS", False):
        raise ShapeError(f"{_join(where, next(iter(rest)))} is not a key of {kind.__name__}")
    return kind(**found)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _key(field: Field[Any]) -> str:
    return str(field.metadata.get("key", field.name))


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _expect(kind: type, value: Any, where: str, words: str) -> Any:
    if type(value) is not kind:
        raise ShapeError(f"{where or 'the content'} is not {words}")
    return value
