"""Arguments that a suite passes on to a model or a data set, checked by pydantic with the project's error messages."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from grape_bench.errors import UserError, unknown

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)
"""Unknown keys and wrong types are errors: "3", 3.0 and true are not the integer 3."""

S = TypeVar("S", bound=BaseModel)


def parse_arguments(schema: type[S], args: dict[str, Any], *, where: str) -> S:
    """Return `args` as a `schema`. Raises UserError for the first unknown key or bad value.

    The description of a field is what the error message lists as allowed.
    """
    try:
        return schema.model_validate(args)
    except ValidationError as error:
        details = error.errors(include_url=False)
        for one in details:
            if one["type"] == "extra_forbidden":
                raise unknown("argument", str(one["loc"][0]), schema.model_fields, where=where) from error
        name = str(details[0]["loc"][0])
        allowed = schema.model_fields[name].description or ""
        raise _bad_value(name, args.get(name), details[0], allowed, where) from error


def check_value(name: str, value: Any, kind: Any, *, where: str) -> None:
    """Raise UserError unless `value` has the annotated type `kind`. Conversions are not accepted."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind, config=ConfigDict(strict=True))
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        allowed = str(adapter.json_schema().get("description", ""))
        raise _bad_value(name, value, error.errors(include_url=False)[0], allowed, where) from error


def _bad_value(name: str, value: Any, details: ErrorDetails, allowed: str, where: str) -> UserError:
    if details["type"] == "literal_error" and isinstance(value, str):
        # pydantic lists the choices as "'relu', 'tanh' or 'gelu'".
        choices = details.get("ctx", {})["expected"].replace(" or ", ", ").split(", ")
        return unknown(name, value, [choice.strip("'") for choice in choices], where=where)
    return UserError(f"{name} = {value!r}", where=where, allowed=allowed or details["msg"])
