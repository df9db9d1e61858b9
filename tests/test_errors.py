"""Errors of the user's code, in words that every terminal and file takes."""

import pytest

from grape_bench.errors import described, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no room", "no room"),
        ("Größe 规则 ÷", "Größe 规则 ÷"),
        ("two\nlines", "two\nlines"),
        ("bad \ud800 text", "bad \\ud800 text"),
        ("\x1b]0;title\x07\x1b[2J", "\\x1b]0;title\\x07\\x1b[2J"),
    ],
)
def test_what_a_terminal_cannot_show_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).encode()


def test_an_error_has_its_type_and_its_text() -> None:
    assert described(KeyError("b")) == "KeyError: 'b'"
    assert described(RuntimeError("bad \ud800 text")) == "RuntimeError: bad \\ud800 text"
    assert described(MemoryError()) == "MemoryError:"
