"""Check what a user wrote with pydantic. Only this module turns pydantic's errors into user errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from grape_bench.errors import UserError, unknown

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)
"""Unknown keys and wrong types are errors: "3", 3.0 and true are not the integer 3."""

S = TypeVar("S", bound=BaseModel)
_NO_EXAMPLES: Mapping[str, str] = {}
# The wording of pydantic, and the wording for a TOML file.
_WORDS = {
    "List should have": "must have",
    " after validation": "",
    " or instance of Optimizer": "",
    "Input should be": "must be",
    "greater than or equal to": "at least",
    "valid integer": "integer",
    "a integer": "an integer",
    "valid ": "",
    "dictionary": "table, such as { key = 1 }",
    "list": "list, such as [1]",
}


def parse_arguments(schema: type[S], args: dict[str, Any], *, where: str) -> S:
    """Return `args` as a `schema`. Raises UserError for the first unknown key or bad value.

    The error message shows the description of the field as what is allowed.
    """
    try:
        return schema.model_validate(args)
    except ValidationError as error:
        raise schema_error(error, schema, args, where=where, kind="argument") from error


def check_value(name: str, value: Any, kind: Any, *, where: str) -> None:
    """Raise UserError unless `value` has the annotated type `kind`. Conversions are not accepted."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind, config=ConfigDict(strict=True))
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        if details["type"] == "literal_error" and isinstance(value, str):
            raise unknown(name, value, _choices(details), where=where) from error
        allowed = str(adapter.json_schema().get("description", "")) or details["msg"]
        raise UserError(f"{name} = {value!r}", where=where, allowed=allowed) from error


def schema_error(
    error: ValidationError,
    schema: type[BaseModel],
    content: dict[str, Any],
    *,
    where: str,
    kind: str = "key",
    examples: Mapping[str, str] = _NO_EXAMPLES,
) -> UserError:
    """The first problem that pydantic found in `content`, as a user error with its location in the file.

    `kind` is the word for an unknown key. `examples` holds a correct line for some keys, by name.
    """
    # A misspelled key also makes the correct one "missing". Report the unknown key, because it is more helpful.
    details = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    problem, loc = details["type"], details["loc"]
    key = str(loc[-1]) if loc else ""
    table, at = _at(where, loc[:-1], content), _at(where, loc, content)
    if problem == "extra_forbidden":
        return unknown(kind, key, _keys(schema, loc[:-1]), where=table)
    if problem == "missing":
        return UserError(f"{key!r} is missing", where=at, hint=examples.get(key, ""))
    value = details["input"]
    if problem == "literal_error" and isinstance(value, str):
        name = str(loc[-2]) if key == "name" and len(loc) > 1 else key
        return unknown(name, value, _choices(details), where=table)
    if problem == "string_pattern_mismatch":
        allowed = "letters, digits, - and _, starting with a letter or digit"
        return UserError(f"{value!r} is not a valid {key}", where=at, allowed=allowed)
    if problem == "value_error":
        return UserError(str(details["ctx"]["error"]), where=at)
    described = schema.model_fields.get(str(loc[0])) if loc else None
    if described and described.description:
        return UserError(f"{loc[0]} = {content.get(str(loc[0]))!r}", where=where, allowed=described.description)
    return UserError(f"{_in_toml(details['msg'])}, not {value!r}", where=at, hint=examples.get(key, ""))


def _at(where: str, loc: Sequence[int | str], content: dict[str, Any]) -> str:
    """`where` with the location in the file, such as `my.toml: task 'digits-mlp': optimizer.lr`."""
    parts = [where]
    if len(loc) > 1 and isinstance(loc[1], int):
        item = content[str(loc[0])][loc[1]]
        name = item.get("name") if isinstance(item, dict) else None
        parts.append(f"{loc[0]} {name!r}" if isinstance(name, str) else f"{loc[0]} number {loc[1] + 1}")
        loc = loc[2:]
    return ": ".join([*parts, ".".join(map(str, loc))] if loc else parts)


def _keys(schema: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """The keys of the table at `loc`."""
    kind: Any = schema
    for part in loc:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = _fields(kind)[str(part)].annotation
        else:  # an item of a list, or an entry of a dict
            kind = get_args(kind)[-1]
        kind = _without_none(kind)
    return list(_fields(kind))


def _fields(schema: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in schema.model_fields.items()}


def _without_none(kind: Any) -> Any:
    """`X` for `X | None` and for `Annotated[X, ...]`."""
    if get_origin(kind) is Annotated:
        return _without_none(get_args(kind)[0])
    if type(None) in get_args(kind):
        return _without_none(next(arm for arm in get_args(kind) if arm is not type(None)))
    return kind


def _choices(details: ErrorDetails) -> list[str]:
    # pydantic lists them as "'relu', 'tanh' or 'gelu'".
    return [word.strip("'") for word in str(details["ctx"]["expected"]).replace(" or ", ", ").split(", ")]


def _in_toml(message: str) -> str:
    for word, toml in _WORDS.items():
        message = message.replace(word, toml)
    return message
