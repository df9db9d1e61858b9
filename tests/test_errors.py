"""Errors of the user's code, in words that every terminal and file takes."""

import pytest

from grape_bench.errors import UserError, described, in_one_line, printable, redacted


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


@pytest.mark.parametrize(
    "invisible",
    ["\u202e", "\u2066", "\u200b", "\u200d", "\ufeff", "\u2060", "\u00ad", "\u3164", "\ufe0f", "\U000e0041", "\x85"],
)
def test_what_has_no_width_or_turns_text_around_is_shown(invisible: str) -> None:
    assert printable(f"b{invisible}p") == f"b{invisible.encode('unicode_escape').decode()}p"


def test_a_quoted_line_break_cannot_imitate_a_line_of_ours() -> None:
    assert in_one_line("a\nok  files") == "a\\nok  files"
    error = str(UserError("no record\nok  files", where="runs\nok  all"))
    assert error.splitlines() == ["runs\\nok  all: no record", "  ok  files"]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://me:secret@mlflow.example:5000/a@b", "http://mlflow.example:5000/a@b"),
        ("http://me:sec@ret@host/x", "http://host/x"),
        ("http://me:sec/ret@host/x", "http://host/x"),
        ("https://secret@host", "https://host"),
        ("postgresql://u:secret@db/x?sslmode=1&password=secret", "postgresql://db/x?sslmode=1&password=***"),
        ("s3://b/x?X-Amz-Signature=secret&a=1", "s3://b/x?X-Amz-Signature=***&a=1"),
        ("http://host:5000/#/runs/a@b", "http://host:5000/#/runs/a@b"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
    ],
)
def test_a_password_is_never_shown(address: str, shown: str) -> None:
    assert redacted(f"warning: {address} is gone") == f"warning: {shown} is gone"
    assert "secret" not in str(UserError("no answer", where=address, hint=f"open {address}"))
    assert "secret" not in described(OSError(address))


@pytest.mark.parametrize(
    "text", ["x" * 200_000, "://a:b" * 30_000, "?token" + "token" * 40_000, "?&" * 100_000, "@" * 200_000]
)
def test_a_long_text_is_searched_once(text: str) -> None:
    """A pattern that searches it again from every place would take minutes."""
    assert len(redacted(text)) <= len(text)
