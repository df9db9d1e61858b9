r"""The table as LaTeX: a `table` float with booktabs, ready for `\input`."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from grape_bench.report.glyphs import spelled
from grape_bench.report.templates import latex_template
from grape_bench.report.text import Printed, caption, footnotes, printed
from grape_bench.score.quantity import ABSENT, DRAFT_MARK, Values

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_SPECIAL |= {character: f"\\{character}" for character in "&%$#_{}"}
_SYMBOLS = {
    "±": r"$\pm$",
    "÷": r"$\div$",
    DRAFT_MARK: r"$^\dagger$",
    ABSENT: "--",
    "×": r"$\times$",
    "−": "$-$",
    "²": "$^2$",
}
_SYMBOLS |= {"≥": r"$\geq$", "≤": r"$\leq$", "<": r"$<$", ">": r"$>$", "|": r"$|$", '"': "''"}
_ALL = _SPECIAL | _SYMBOLS
_PATTERN = re.compile("|".join(map(re.escape, _ALL)))


def escape(text: str) -> str:
    """Escape `text` for LaTeX. A character for which pdflatex has no glyph is spelled by its number."""
    present = spelled(text, lambda character: character.isascii() or character in _ALL or _is_western(character))
    return _PATTERN.sub(lambda match: _ALL[match.group()], present)


def _is_western(character: str) -> bool:
    """Whether pdflatex composes this letter: those of Latin-1 and Latin Extended-A."""
    return "\xc0" <= character <= "\u017f" and character.isalpha()


def render(table: pd.DataFrame, label: str) -> str:
    """The float, labeled `tab:<label>`. Rules marked in the column `best` are bold. Ends with a newline."""
    chosen = printed(table)
    tasks = [
        {
            "name": escape(str(task)),
            "rows": [_texts(row, chosen) for row in table[table["task"] == task].to_dict("records")],
        }
        for task in dict.fromkeys(table["task"])
    ]
    return latex_template("table.tex.j2").render(
        alignment="".join("l" if item.left else "r" for item in chosen),
        headings=[_heading(item) for item in chosen],
        tasks=tasks,
        caption=escape(caption(table)),
        notes=[escape(note) for note in footnotes(table)],
        label=re.sub(r"[^A-Za-z0-9-]", "-", label),
    )


def _heading(item: Printed) -> str:
    """The first word above the others, so that a column is no wider than its numbers. A metric's stays on one line."""
    first, _, rest = escape(item.heading).partition(" ")
    if not rest or item.is_metric:
        return escape(item.heading)
    return rf"\begin{{tabular}}[b]{{@{{}}r@{{}}}}{first}\\{rest}\end{{tabular}}"


def _texts(row: Values, chosen: Sequence[Printed]) -> list[str]:
    texts = [escape(item.text(row)) for item in chosen]
    return [rf"\textbf{{{text}}}" if item.is_bold(row) else text for text, item in zip(texts, chosen, strict=True)]
