"""Read and check a suite, or what is asked of a cluster; every mistake becomes one UserError."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from grape_bench.errors import UserError
from grape_bench.plan.choices import Choices
from grape_bench.plan.cluster import Cluster
from grape_bench.plan.complain import complain
from grape_bench.plan.names import check_names
from grape_bench.plan.suite import Suite

NO_CHOICES = Choices()


def read_suite(path: Path, choices: Choices = NO_CHOICES) -> Suite:
    """The suite in `path` with `choices` applied; raises UserError for whatever is wrong with either."""
    document = read_document(path)
    choices.apply(document)
    where = f"{path} with {choices}" if str(choices) else str(path)
    try:
        suite = Suite.model_validate(document)
    except ValidationError as error:
        raise complain(error, document, where) from error
    check_names(suite, where)
    return suite


def read_cluster(path: Path) -> Cluster:
    """What the file `path` asks of a cluster; raises UserError for whatever is wrong with it."""
    document = read_document(path)
    try:
        return Cluster.model_validate(document)
    except ValidationError as error:
        raise complain(error, document, str(path), Cluster) from error


def read_document(path: Path) -> dict[str, Any]:
    """The TOML in `path` as it stands, unchecked; raises UserError where it is not TOML."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path)) from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(error, text, path) from error


def _syntax_error(error: tomllib.TOMLDecodeError, text: str, path: Path) -> UserError:
    """A TOML error with its line; tomllib calls a second value for one key an overwriting."""
    message = str(error)
    place = re.search(r" \(at line (\d+), column \d+\)$", message)
    number = int(place.group(1)) if place else len(text.splitlines())
    lines = text.splitlines()
    line = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    what = message[: place.start()] if place else message
    if re.match(r"Cannot (overwrite|declare|mutate|redefine)", what):
        what = "duplicate key: given a second time here"
    return UserError(
        f"TOML: {what}" + (f": {line}" if line else ""),
        where=f"{path}:{number}",
        hint="one `key = value` per line, each key once; tables as [rule.NAME] and [[task]]",
    )
