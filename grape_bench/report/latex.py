r"""The table as LaTeX: a `table` float with booktabs, ready for `\input`."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from grape_bench.report.columns import ABSENT, DRAFT_MARK, Column, Row, caption, columns, footnotes
from grape_bench.report.templates import latex_template
from grape_bench.score.metric import METRICS

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_SPECIAL |= {character: f"\\{character}" for character in "&%$#_{}"}
_SYMBOLS = {"±": r"$\pm$", "÷": r"$\div$", DRAFT_MARK: r"$^\dagger$", ABSENT: "--", "×": r"$\times$", "−": "$-$"}
_SYMBOLS |= {"≥": r"$\geq$", "≤": r"$\leq$", "<": r"$<$", ">": r"$>$", "|": r"$|$", '"': "''"}
_ALL = _SPECIAL | _SYMBOLS
_PATTERN = re.compile("|".join(map(re.escape, _ALL)))


def escape(text: str) -> str:
    """`text` as LaTeX prints it; a character that pdflatex has no glyph for becomes a question mark."""
    replaced = _PATTERN.sub(lambda match: _ALL[match.group()], text)
    return re.sub(r"[^\x00-\x7f]", "?", replaced)


def render(table: pd.DataFrame, label: str) -> str:
    """The float, labelled `tab:<label>`; ends with a newline.

    Bold is what cannot be told from the best of a task that others were told from (the column `best`).
    """
    chosen = columns(table)
    tasks = [
        {
            "name": escape(str(task)),
            "rows": [_cells(row, chosen) for row in table[table["task"] == task].to_dict("records")],
        }
        for task in dict.fromkeys(table["task"])
    ]
    return latex_template("table.tex.j2").render(
        alignment="".join("l" if column.needs in ("rule", "verdict") else "r" for column in chosen),
        headings=[_heading(column) for column in chosen],
        tasks=tasks,
        caption=escape(caption(table)),
        notes=[escape(note) for note in footnotes(table)],
        label=re.sub(r"[^A-Za-z0-9-]", "-", label),
    )


def _heading(column: Column) -> str:
    """Its words below each other, so that a column is as wide as its numbers."""
    first, _, rest = escape(column.heading).partition(" ")
    if not rest or column.needs in METRICS:
        return escape(column.heading)
    return rf"\begin{{tabular}}[b]{{@{{}}r@{{}}}}{first}\\{rest}\end{{tabular}}"


def _cells(row: Row, chosen: Sequence[Column]) -> list[str]:
    texts = [escape(column.text(row)) for column in chosen]
    return [
        rf"\textbf{{{text}}}" if row["best"] and column.needs in METRICS else text
        for text, column in zip(texts, chosen, strict=True)
    ]
