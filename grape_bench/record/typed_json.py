"""Encode frozen dataclasses as JSON and decode them, with every value checked against its annotation.

The metadata of a field may have `key` (its name in the JSON), `optional` (None leaves it out of the JSON), or `rest`.
A `rest` field maps the keys that match no other field. The JSON stores them next to the others.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping
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
    if value is None or type(value) in (str, int, float, bool):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return _encode_fields(value)
    if isinstance(value, Mapping):
        return {key: encode(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [encode(inner) for inner in value]
    return value.value if isinstance(value, Enum) else value


def _encode_fields(value: Any) -> dict[str, Any]:
    content: dict[str, Any] = {}
    kind: Any = type(value)
    for name, key, is_rest, optional in _written(kind):
        inner = getattr(value, name)
        if is_rest:
            content.update(encode(inner))
        elif inner is not None or not optional:
            content[key] = encode(inner)
    return content


@cache
def _written(kind: Any) -> tuple[tuple[str, str, bool, bool], ...]:
    """The fields of a dataclass: name, key, whether it is `rest`, and whether it is `optional`."""
    return tuple(
        (each.name, _key(each), bool(each.metadata.get("rest")), bool(each.metadata.get("optional")))
        for each in fields(kind)
    )


def listed(value: Any) -> Any:
    """Measured values with tuples turned into lists, as in JSON."""
    if isinstance(value, Mapping):
        return {key: listed(inner) for key, inner in value.items()}
    return [listed(inner) for inner in value] if isinstance(value, list | tuple) else value


Reader = Callable[[Any, str], Any]
"""Decodes a JSON value. The text is its location, for errors."""


def decode(kind: type[T], value: object, where: str = "") -> T:
    """Decode the JSON `value` as a `kind`. Raises ShapeError."""
    known: Any = kind
    found: T = _reader(known)(value, where)
    return found


@cache
def _reader(kind: Any) -> Reader:
    """The reader of a `kind`, cached so that annotations are inspected once per type and not once per value."""
    if kind is Any:
        return lambda value, where: value
    origin = get_origin(kind) or kind
    if origin in (Union, types.UnionType):
        inner = _reader(next(arm for arm in get_args(kind) if arm is not type(None)))
        return lambda value, where: None if value is None else inner(value, where)
    if is_dataclass(kind):
        return _reader_of_fields(kind)
    if origin in (Mapping, dict):
        return _reader_of_mapping(get_args(kind))
    if origin in (tuple, list):
        return _reader_of_items(origin, _reader(get_args(kind)[0]))
    if kind is float:
        return _read_float
    return _reader_of_enum(kind) if issubclass(kind, Enum) else _reader_of_plain(kind)


def _reader_of_mapping(arguments: tuple[Any, ...]) -> Reader:
    inner = _reader(arguments[1] if arguments else Any)

    def read(value: Any, where: str) -> Any:
        content = _expect(dict, value, where, "an object")
        return content if inner is _reader(Any) else {k: inner(v, _join(where, k)) for k, v in content.items()}

    return read


def _reader_of_items(origin: type, inner: Reader) -> Reader:
    def read(value: Any, where: str) -> Any:
        items = _expect(list, value, where, "a list")
        return origin(inner(item, f"{where}[{index}]") for index, item in enumerate(items))

    return read


def _read_float(value: Any, where: str) -> Any:
    # An integer is a valid float, unless it exceeds the largest one.
    if type(value) is int and abs(value) <= sys.float_info.max:
        return value
    return _expect(float, value, where, "a number")


def _reader_of_enum(kind: Any) -> Reader:
    def read(value: Any, where: str) -> Any:
        try:
            return kind(value)
        except ValueError as error:
            allowed = ", ".join(str(member.value) for member in kind)
            raise ShapeError(f"{where}: {value!r} is not one of {allowed}") from error

    return read


def _reader_of_plain(kind: type) -> Reader:
    words = {str: "a string", int: "an integer", bool: "true or false"}[kind]
    return lambda value, where: value if type(value) is kind else _expect(kind, value, where, words)


def _reader_of_fields(kind: Any) -> Reader:
    hints = get_type_hints(kind)
    rest = next((each.name for each in fields(kind) if each.metadata.get("rest")), None)
    known = {
        _key(each): (each.name, _reader(hints[each.name]), each.default is MISSING and each.default_factory is MISSING)
        for each in fields(kind)
        if each.name != rest
    }
    read_rest = _reader(hints[rest]) if rest else None
    closed = getattr(kind, "KNOWS_ALL_KEYS", False)

    def read(value: Any, where: str) -> Any:
        content, found = _expect(dict, value, where, "an object"), {}
        start = f"{where}." if where else ""
        for key, (name, inner, needed) in known.items():
            if key in content:
                found[name] = inner(content[key], start + key)
            elif needed:
                raise ShapeError(f"{start}{key} is missing")
        if rest and read_rest:
            found[rest] = read_rest({key: one for key, one in content.items() if key not in known}, where)
        elif closed and len(found) < len(content):
            unknown = next(key for key in content if key not in known)
            raise ShapeError(f"{start}{unknown} is not a key of {kind.__name__}")
        return kind(**found)

    return read


def _key(field: Field[Any]) -> str:
    return str(field.metadata.get("key", field.name))


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _expect(kind: type, value: Any, where: str, words: str) -> Any:
    if type(value) is not kind:
        raise ShapeError(f"{where or 'the content'} is not {words}")
    return value
