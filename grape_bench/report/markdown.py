"""The table as GitHub Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from grape_bench.errors import printable
from grape_bench.report.text import best_lines, caption, footnotes, printed


def render(table: pd.DataFrame) -> str:
    """Per task a heading, two pipe tables and the line on the best rule; then the caption and notes.

    Ends with a newline.
    """
    if table.empty:
        return "No results yet.\n"
    blocks = [f"### {escape(task)}\n\n{_one_task(table, task)}" for task in table["task"].unique()]
    blocks.append(escape(caption(table)))
    if notes := footnotes(table):
        blocks.append("\n".join(f"- {escape(note)}" for note in notes))
    return "\n\n".join(blocks) + "\n"


def pipe_table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[bool]) -> str:
    """An aligned pipe table of Markdown texts. `left` says which columns are aligned to the left."""
    widths = [max(3, *(len(line[i]) for line in (headings, *rows))) for i in range(len(headings))]
    rule = ["-" * width if is_left else "-" * (width - 1) + ":" for width, is_left in zip(widths, left, strict=True)]
    return "\n".join(_line(line, widths, left) for line in (headings, rule, *rows))


def _one_task(table: pd.DataFrame, task: str) -> str:
    rows = table[table["task"] == task].to_dict("records")
    blocks = [
        pipe_table(
            [escape(item.heading) for item in chosen],
            [[escape(item.text(row)) for item in chosen] for row in rows],
            [item.left for item in chosen],
        )
        for chosen in printed(table, task)
    ]
    line = best_lines(table).get(task)
    return "\n\n".join([*blocks, escape(line)] if line else blocks)


def _line(texts: Sequence[str], widths: Sequence[int], left: Sequence[bool]) -> str:
    padded = (
        text.ljust(width) if is_left else text.rjust(width)
        for text, width, is_left in zip(texts, widths, left, strict=True)
    )
    return f"| {' | '.join(padded)} |"


def escape(text: str) -> str:
    """Escape `text` for Markdown, inside or outside a table, so that it has no links, images, HTML or mentions.

    GitHub also turns bare addresses into links, and `@name` and `#1` into mentions.
    """
    shown = _SPECIAL.sub(r"\\\g<0>", " ".join(printable(text).split("\n")))
    shown = _ADDRESS.sub(lambda match: match.group().replace(":", "\\:").replace(".", "\\."), shown)
    return _MENTION.sub(r"<span>\g<0></span>", shown)


_SPECIAL = re.compile(r"[\\|*_<>`\[\]!~&]|^[#+=-](?![\d.])")
_ADDRESS = re.compile(r"\b\w+:(?=//)|\b(?:mailto|xmpp|javascript|data):|www\.", re.IGNORECASE)
_MENTION = re.compile(r"[@#](?=\w)")
