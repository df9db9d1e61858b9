"""Print a line of text. Nothing that it quotes can move the cursor, change a color or draw a line of its own."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from functools import wraps
from typing import Any

import click

from grape_bench.errors import printable, redacted

_HELD: ContextVar[list[str] | None] = ContextVar("_HELD", default=None)
"""The documents to print when a command with `--json` ends. None in any other command."""


def say(text: str = "", *, before: str = "", word: str = "", color: str = "", err: bool = False) -> None:
    """Print `before`, the colored `word` and `text`, with control characters escaped.

    A line after the first one is indented, so that a quoted line break cannot imitate a line of ours.
    """
    lines = printable(redacted(text)).split("\n")
    rest = [line if line.startswith(" ") or not line else f"  {line}" for line in lines[1:]]
    start = printable(redacted(before)) + (click.style(word, fg=color or None) if word else "")
    click.echo(start + "\n".join([lines[0], *rest]), err=err)


def amount(number: int, noun: str) -> str:
    """A number with its noun: "1 job", "2 jobs"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def say_program(text: str) -> None:
    """Print `text` as it is, for a file, apart from characters that a terminal would obey."""
    click.echo("\n".join(map(printable, text.split("\n"))), nl=False)


def say_json(content: Any) -> None:
    """Print `content` as JSON, for programs. A number that is not finite is null, since JSON has no NaN.

    It is ASCII, so it contains no control characters. A command with `as_json` prints it when it ends.
    """
    text = json.dumps(_finite(content), indent=2, default=str, allow_nan=False)
    held = _HELD.get()
    if held is None:
        click.echo(text)
    else:
        held.append(text)


def as_json(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the parameter `json`. If it is set, only `say_json` prints to stdout, and all else to stderr."""

    @wraps(command)
    def with_json(*, json: bool, **given: Any) -> None:
        if not json:
            command(json=False, **given)
            return
        with _stdout_for_json():
            command(json=True, **given)

    return click.option("--json", "json", is_flag=True, help="Print JSON for programs.")(with_json)


@contextmanager
def _stdout_for_json() -> Iterator[None]:
    """Send to stderr what the block prints, and print what it passed to `say_json` at its end, also after an error.

    A model's own code may print too, here or in a process of ours. So the file descriptor is redirected as well.
    """
    held: list[str] = []
    token = _HELD.set(held)
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        _HELD.reset(token)
        for text in held:
            click.echo(text)


def _finite(content: Any) -> Any:
    """`content` with None in place of every number that is infinite or NaN."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {key: _finite(inner) for key, inner in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(inner) for inner in content]
    return content
