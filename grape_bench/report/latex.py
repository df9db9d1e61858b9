r"""The table as LaTeX: a `table` float with booktabs, and its full notes, both ready for `\input`."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from grape_bench.errors import printable
from grape_bench.report.glyphs import spelled
from grape_bench.report.templates import latex_template
from grape_bench.report.text import Printed, best_lines, caption, footnotes, printed, short_caption
from grape_bench.score.open_rows import OPEN_MARK
from grape_bench.score.quantity import ABSENT, DRAFT_MARK

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_SPECIAL |= {character: f"\\{character}" for character in "&%$#_{}"}
_SYMBOLS = {
    "±": r"$\pm$",
    "÷": r"$\div$",
    DRAFT_MARK: r"$^\dagger$",
    OPEN_MARK: r"\S{}",
    ABSENT: "--",
    "×": r"$\times$",
    "−": "$-$",
    "²": "$^2$",
}
_SYMBOLS |= {"≥": r"$\geq$", "≤": r"$\leq$", "<": r"$<$", ">": r"$>$", "|": r"$|$", '"': "''"}
_ALL = _SPECIAL | _SYMBOLS
_PATTERN = re.compile("|".join(map(re.escape, _ALL)))


def escape(text: str) -> str:
    """Escape `text` for LaTeX. A character for which pdflatex has no glyph is spelled by its number or code."""
    shown = " ".join(printable(text).split())
    present = spelled(shown, lambda character: character.isascii() or character in _ALL or _is_western(character))
    return _PATTERN.sub(lambda match: _ALL[match.group()], present)


def _is_western(character: str) -> bool:
    """Whether pdflatex composes this letter: those of Latin-1 and Latin Extended-A."""
    return "\xc0" <= character <= "\u017f" and character.isalpha()


def render(table: pd.DataFrame, label: str) -> str:
    """The float, labeled `tab:<label>`: scores and costs, the words below them, and a short caption."""
    return latex_template("table.tex.j2").render(
        blocks=[_block(table, chosen) for chosen in printed(table)],
        title=escape(label),
        caption=escape(short_caption(table)),
        label=re.sub(r"[^A-Za-z0-9-]", "-", label),
    )


def notes(table: pd.DataFrame) -> str:
    """A paragraph for an appendix: what every column means, the best rules, and what is missing."""
    best = (f"{task}: {line}" for task, line in best_lines(table).items())
    every = [caption(table), *(f"{note}." for note in (*best, *footnotes(table)))]
    return "% Made by grape-bench.\n" + "\n".join(escape(note) for note in every) + "\n"


def _block(table: pd.DataFrame, chosen: Sequence[Printed]) -> dict[str, object]:
    """One `tabular`: its alignment, its headings, and its tasks with their rows."""
    tasks = [
        {
            "name": escape(str(task)),
            "rows": [
                [_cell(item.text(row)) for item in chosen] for row in table[table["task"] == task].to_dict("records")
            ],
        }
        for task in dict.fromkeys(table["task"])
    ]
    return {
        "alignment": "".join("l" if item.left else "r" for item in chosen),
        "headings": [_heading(item) for item in chosen],
        "tasks": tasks,
    }


def _cell(text: str) -> str:
    r"""A cell. After `\\` and `\midrule`, LaTeX takes a bracket or an asterisk for an option."""
    shown = escape(text)
    return f"{{}}{shown}" if shown.startswith(("[", "*")) else shown


def _heading(item: Printed) -> str:
    """A heading in two lines, so that a column is no wider than its numbers. A metric's heading stays on one line."""
    first, _, rest = escape(item.heading).partition(" ")
    if not rest or item.is_metric or item.column.word:
        return escape(item.heading)
    return rf"\begin{{tabular}}[b]{{@{{}}r@{{}}}}{first}\\{rest}\end{{tabular}}"
