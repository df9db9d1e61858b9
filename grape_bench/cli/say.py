"""Print a line of text. Nothing that it quotes can move the cursor, change a color or draw a line of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from grape_bench.errors import printable, redacted


def say(text: str = "", *, before: str = "", word: str = "", color: str = "", err: bool = False) -> None:
    """Print `text`, in which a terminal finds nothing to obey, after `word`, which may have a color, and `before`.

    A line after the first one is indented, so that a quoted line break cannot imitate a line of ours.
    """
    lines = printable(redacted(text)).split("\n")
    rest = [line if line.startswith(" ") or not line else f"  {line}" for line in lines[1:]]
    start = printable(redacted(before)) + (click.style(word, fg=color or None) if word else "")
    click.echo(start + "\n".join([lines[0], *rest]), err=err)


def say_program(text: str) -> None:
    """Print `text` as it is, for a file, apart from characters that a terminal would obey."""
    click.echo("\n".join(map(printable, text.split("\n"))), nl=False)


def say_json(content: Any) -> None:
    """Print `content` as JSON, for programs. ASCII only, so that a terminal finds nothing to obey in it."""
    click.echo(json.dumps(content, indent=2, default=str))


def as_json(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the parameter `json`."""
    return click.option("--json", "json", is_flag=True, help="Print JSON for programs.")(command)
