"""Search the texts of a publication for what identifies its author."""

from __future__ import annotations

import json
import token
import tokenize
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from grape_bench.errors import UserError
from grape_bench.publish.author_patterns import Mark, plain
from grape_bench.publish.submission import RUNS, SOURCE
from grape_bench.record.regular_file import entries

SHOWN = 10  # texts in one message
WIDEST = 100  # characters of a quoted line

_PROSE = (token.COMMENT, token.STRING, getattr(token, "FSTRING_MIDDLE", token.STRING))


@dataclass(frozen=True)
class Trace:
    """A text that identifies the author, the number and the text of its line, and what it is."""

    text: str
    line: int
    around: str
    about: str


def traces(text: str, marks: Sequence[Mark], *, python: bool = False) -> Iterator[Trace]:
    """Yield what identifies the author in `text`. Traces have no accents."""
    lines, whole = text.split("\n"), plain(text)
    comments = plain(prose(text)) if python else whole
    for mark in marks:
        searched = comments if mark.prose else whole
        for match in mark.pattern.finditer(searched):
            line = searched.count("\n", 0, match.start())
            yield Trace(match.group(), line + 1, lines[line].strip(), mark.about)


def prose(source: str) -> str:
    """The comments and strings of a Python file, on their lines. A file that is not Python is returned whole."""
    text, row = [], 1
    try:
        for one in tokenize.generate_tokens(StringIO(source).readline):
            if one.type in _PROSE:
                text += ["\n" * (one.start[0] - row), one.string, " "]
                row = one.end[0]
    except (tokenize.TokenError, SyntaxError):
        return source
    return "".join(text)


def refuse_traces(draft: Path, marks: Sequence[Mark], origins: Mapping[str, Path], allowed: Collection[str]) -> None:
    """Raise UserError if a file in `draft`, or its name, identifies the author. Texts in `allowed` do not count.

    `origins` maps a file of the draft to the user's file that it was made from.
    """
    known = {plain(text).casefold() for text in allowed}
    found: dict[str, list[str]] = {}
    # The user's own files come first, because the user can edit those.
    for name in sorted((name for name, _ in entries(draft)), key=lambda name: (name.startswith(RUNS), name)):
        if name == SOURCE:  # it is also in the folder of the code
            continue
        for place, trace in _in_file(draft, name, str(origins.get(name, name)), marks):
            if trace.text.casefold() not in known:
                found.setdefault(trace.text.casefold(), []).append(f"{place}: {_described(trace)}")
    if found:
        places = [f"{one[0]}{_more(len(one) - 1, 'places')}" for one in found.values()]
        lines = ["these texts identify the author:", *places[:SHOWN], _more(len(places) - SHOWN, "texts").strip()]
        hint = (
            "change them, and run the suite again after a change of code or settings, which job ids cover; "
            "or --allow TEXT for a text that identifies nobody"
        )
        raise UserError("\n".join(filter(None, lines)), hint=hint)


def _in_file(draft: Path, name: str, origin: str, marks: Sequence[Mark]) -> Iterator[tuple[str, Trace]]:
    """Yield the traces in the name and content of a file, each with its place in the user's own file."""
    yield from ((f"the name of {origin}", trace) for trace in traces(name, marks))
    text = (draft / name).read_text(encoding="utf-8", errors="replace")
    if name.endswith(".json"):  # where an accent is an escape
        text = json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    for trace in traces(text, marks, python=name.endswith(".py")):
        yield f"{origin}, line {trace.line}", trace


def _described(trace: Trace) -> str:
    around = trace.around if len(trace.around) <= WIDEST else f"{trace.around[:WIDEST]} ..."
    return f"{trace.text!r} is {trace.about}" + (f", in: {around}" if around != trace.text else "")


def _more(count: int, what: str) -> str:
    return f" (and {count} more {what})" if count > 0 else ""
