"""Print a line of text. Nothing that it quotes can move the cursor, change a color or draw a line of its own."""

from __future__ import annotations

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
