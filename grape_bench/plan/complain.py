"""A schema's errors in words a person can act on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from grape_bench.errors import UserError, unknown
from grape_bench.plan.cluster import Cluster, Ray, Slurm
from grape_bench.plan.suite import Axis, Optimizer, Suite, Task, Tuning

_TABLES: dict[str, type[BaseModel]] = {
    "task": Task,
    "optimizer": Optimizer,
    "tuning": Tuning,
    "space": Axis,
    "cluster": Cluster,
    "slurm": Slurm,
    "ray": Ray,
}
_EXAMPLES = {
    "version": 'version = "1.0"',
    "rules": 'rules = ["bp", "dfa"]',
    "seeds": "seeds = 3",
    "optimizer": 'optimizer = { name = "adamw", lr = 1e-3 }',
    "task": '[[task]], with name = "...", model = "...", dataset = "..." below it',
    "model_args": "model_args = { hidden = [256] }",
}
_WORDS = {
    "Input should be": "must be",
    "greater than or equal to": "at least",
    "valid integer": "integer",
    "a integer": "an integer",
    "valid ": "",
    "dictionary": "table, such as { key = 1 }",
    "list": "list, such as [1]",
}


def complain(error: ValidationError, document: dict[str, Any], where: str, top: type[BaseModel] = Suite) -> UserError:
    """The first thing that is wrong, with its place; the others show once it is mended. `top` is the file's schema."""
    # A misspelt key is also a missing one: the first of the two tells more.
    details = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    place = _place(details["loc"], document)
    return _translate(details, f"{where}: {place}" if place else where, top)


def _place(loc: Sequence[int | str], document: dict[str, Any]) -> str:
    """Where in the file: `task 'digits-mlp': optimizer.lr`."""
    if len(loc) > 1 and loc[0] == "task" and isinstance(loc[1], int):
        task = document["task"][loc[1]]
        name = task.get("name") if isinstance(task, dict) else None
        head = f"task {name!r}" if isinstance(name, str) else f"task number {loc[1] + 1}"
        rest = ".".join(map(str, loc[2:]))
        return f"{head}: {rest}" if rest else head
    return ".".join(map(str, loc))


def _translate(details: ErrorDetails, where: str, top: type[BaseModel]) -> UserError:
    kind, loc, value = details["type"], details["loc"], details["input"]
    key = str(loc[-1]) if loc else ""
    context: dict[str, Any] = details.get("ctx") or {}
    example = _EXAMPLES.get(key, "")
    if kind == "extra_forbidden":
        return unknown("key", key, _keys(loc, top), where=where.removesuffix(key).rstrip(".: "))
    if kind == "missing":
        return UserError(f"{key!r} is missing", where=where, hint=example)
    if kind == "literal_error":
        allowed = [word.strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(", ")]
        kind_of_name = str(loc[-2]) if key == "name" and len(loc) > 1 else key
        return unknown(kind_of_name, str(value), allowed, where=where)
    if kind == "string_pattern_mismatch":
        what = f"{value!r} is not a usable {key}"
        return UserError(what, where=where, allowed="letters, digits, - and _, a letter or digit first")
    if kind == "value_error":
        return UserError(str(context["error"]), where=where)
    message = details["msg"]
    for pydantic_says, toml_says in _WORDS.items():
        message = message.replace(pydantic_says, toml_says)
    return UserError(f"{message}, not {value!r}", where=where, hint=example)


def _keys(loc: Sequence[int | str], top: type[BaseModel]) -> list[str]:
    """The keys of the table in which the last part of `loc` stands."""
    if loc[:2] == ("tuning", "rule"):
        return list(Axis.model_fields)
    tables = [_TABLES[part] for part in loc[:-1] if isinstance(part, str) and part in _TABLES]
    fields = (tables[-1] if tables else top).model_fields
    return [field.alias or name for name, field in fields.items()]
