"""The prose stays plain: short sentences in the docs, and no phrase that an American ML engineer would not use."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
# `python -m benchmarks.coverage` and `python -m benchmarks.feedback` write the whole page.
GENERATED = ("coverage.md", "feedback.md")
NOTES = sorted((ROOT / "results").glob("*/notes.md"))
WRITTEN = [page for page in PAGES if page.name not in GENERATED] + NOTES
MODULES = sorted((ROOT / "grape_bench").rglob("*.py"))

WORDS, COLUMNS = 25, 120
BANNED = (
    "anew",
    "at hand",
    "as ever",
    "is told",
    "are told",
    "goes on",
    "go on",
    "mend",
    "mended",
    "in the place of",
    "has not got",
    "have not got",
    "are called so",
    "is called so",
    "a part of a whole",
    "the one's",
)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def sentences(text: str) -> Iterator[str]:
    """The sentences of a Markdown page, without code, tables, headings, formulas, images and HTML comments."""
    text = re.sub(r"^```.*?^```|<!-- python.*?<!-- end -->|<!--.*?-->|\$\$.*?\$\$", "\n", text, flags=re.S | re.M)
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", text):
        lines = [line for line in paragraph.splitlines() if not re.match(r"\s*(\||#|!\[)", line)]
        prose = re.sub(r"^\s*(?:[-*]|\d+\.) ", "", " ".join(line.strip() for line in lines))
        prose = re.sub(r"`[^`]*`|\$[^$]*\$", "CODE", prose)
        prose = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", prose)
        if " · " not in prose:  # a row of links
            # A colon or semicolon does not end a sentence, but a list item may end in a colon without more words.
            yield from (one.strip() for one in re.split(r"(?<=[.!?])[)\"*_]*\s+(?=[^a-z])", prose) if one.strip())


def length(sentence: str) -> int:
    """The number of words; a dash, sign or bracket alone is not a word."""
    return sum(bool(re.search(r"\w", word)) for word in sentence.split())


def long_sentences(text: str) -> list[str]:
    return [one for one in sentences(text) if length(one) > WORDS]


def wide_lines(text: str) -> list[str]:
    """Lines of prose beyond the margin. Tables, code and lines that a link makes long cannot be wrapped."""
    text = re.sub(r"^```.*?^```", "\n", text, flags=re.S | re.M)
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("|")]
    return [line for line in lines if len(line) > COLUMNS and " " in re.sub(r"\[[^]]*\]\([^)]*\)", "", line).strip()]


def banned_in(text: str) -> list[str]:
    plain = " ".join(text.split()).lower()
    return [phrase for phrase in BANNED if re.search(rf"(?<![\w-]){re.escape(phrase)}(?![\w-])", plain)]


def strings(source: str) -> Iterator[str]:
    """The string literals, docstrings and comments of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
    yield from re.findall(r"(?:^|\s)#\s(.*)$", source, flags=re.M)


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_a_sentence_has_at_most_25_words(page: Path) -> None:
    assert long_sentences(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_a_line_has_at_most_120_columns(page: Path) -> None:
    assert wide_lines(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", [*PAGES, *NOTES], ids=name_of)
def test_the_docs_have_no_banned_phrase(page: Path) -> None:
    assert banned_in(page.read_text(encoding="utf-8")) == []


def test_the_package_has_no_banned_phrase() -> None:
    found = {
        str(path.relative_to(ROOT)): phrases
        for path in MODULES
        if (phrases := sorted({p for text in strings(path.read_text(encoding="utf-8")) for p in banned_in(text)}))
    }
    assert found == {}


# The checker itself.


def test_a_long_sentence_is_found_and_its_parts_are_not_added_up() -> None:
    long = " ".join(["Word"] * 26) + "."
    assert long_sentences(f"Short one. {long} Another.") == [long]
    assert long_sentences(f"{' '.join(['word'] * 20)}. {' '.join(['Word'] * 20)}.") == []
    assert long_sentences(f"- {' '.join(['word'] * 20)}\n- {' '.join(['word'] * 20)}\n") == []


def test_a_sentence_may_span_lines_and_counts_code_and_links_as_they_read() -> None:
    half = " ".join(["word"] * 13)
    assert len(long_sentences(f"{half}\n{half}.")) == 1
    assert length(next(sentences("Run `a b c d` and see [the docs](a.md#b)."))) == 6


@pytest.mark.parametrize("block", ["```sh\n{}\n```", "| {} |", "$$\n{}\n$$", "# {}", "<!-- {} -->"])
def test_code_tables_formulas_and_headings_are_not_prose(block: str) -> None:
    assert long_sentences(block.format(" ".join(["word"] * 40))) == []


def test_a_wide_line_is_found() -> None:
    wide = "word " * 30
    assert wide_lines(wide) == [wide]
    assert wide_lines(f"| {wide} |") == [] and wide_lines(f"```\n{wide}\n```") == []


def test_banned_phrases_are_whole_words_across_lines() -> None:
    assert banned_in("It is drawn anew.") == ["anew"]
    assert banned_in("in the\nplace of it") == ["in the place of"]
    assert banned_in("We recommend a new one.") == []


def test_docstrings_comments_and_messages_are_read() -> None:
    source = '"""Drawn anew."""\nx = 1  # the one at hand\nraise ValueError(f"{x} goes on")\n'
    assert {phrase for text in strings(source) for phrase in banned_in(text)} == {"anew", "at hand", "goes on"}
