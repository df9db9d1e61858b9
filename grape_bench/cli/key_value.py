"""Options that take KEY=VALUE several times and make a table: `--model-args depth=4 --model-args width=64`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from grape_bench.errors import UserError


def key_values(option: str) -> Callable[..., Any]:
    """Add `option` to a command. `table` parses its value."""
    return click.option(option, multiple=True, metavar="KEY=VALUE", help="VALUE is TOML; may be repeated.")


def table(pairs: tuple[str, ...], option: str) -> dict[str, Any]:
    """Parse the pairs of `option`. Raises UserError if a pair is malformed, or if a key comes twice."""
    from grape_bench.plan.overrides import toml_value

    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = (part.strip() for part in pair.partition("="))
        if not equals or not re.fullmatch(r"[\w-]+", key):
            raise UserError("not of the form KEY=VALUE", where=f"{option} {pair}", hint=f"{option} 'depth=4'")
        if key in found:
            raise UserError(f"{key} is given twice", where=f"{option} {pair}", hint=f"give {option} {key} once")
        found[key] = toml_value(text, f"{option} {pair}")
    return found
