"""Errors that a user can fix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in the user's input: what is wrong, where, what is allowed, and what to type next.

    The command line prints it without a traceback and exits with code 2.
    """

    def __init__(self, what: str, *, where: str = "", allowed: str = "", hint: str = "") -> None:
        self.what, self.where, self.allowed, self.hint = what, where, allowed, hint
        super().__init__(what, where, allowed, hint)

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.allowed:
            lines.append(f"  allowed: {self.allowed}")
        if self.hint:
            lines.append(f"  try: {self.hint}")
        return "\n".join(lines)

    @property
    def parts(self) -> dict[str, str]:
        """The arguments that make this error, to send it to another process."""
        return {"what": self.what, "where": self.where, "allowed": self.allowed, "hint": self.hint}

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.allowed, self.hint)


class DoesNotApplyError(UserError):
    """A learning rule makes no sense for this network. The message gives the reason, which the rule declares."""


def _rebuild(cls: type[UserError], what: str, where: str, allowed: str, hint: str) -> UserError:
    return cls(what, where=where, allowed=allowed, hint=hint)


LONGEST = 2000  # characters of a user's text in a message or a record


def described(error: BaseException) -> str:
    """The type and text of an error of the user's code, such as `KeyError: 'b'`.

    Text that a terminal or a file cannot take is escaped: control characters and lone surrogates. Of a long text, the
    middle is left out.
    """
    try:
        text = str(error)
    except Exception:
        text = "its text cannot be shown"
    named = text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
    return printable(shortened(named.strip()))


def shortened(text: str) -> str:
    """`text` with its middle left out if it is longer than `LONGEST`."""
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]} [... {len(text) - 2 * half:,} characters left out ...] {text[-half:]}"


def printable(text: str) -> str:
    """`text` with everything but letters, symbols, spaces and line breaks escaped, such as `\\x1b`."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def located(where: str) -> Iterator[None]:
    """Give a UserError from the block the location `where`, unless it has one."""
    try:
        yield
    except UserError as error:
        error.where = error.where or where
        raise


def unknown(kind: str, name: str, known: Iterable[str], *, where: str = "", hint: str = "") -> UserError:
    """The error for a `name` that is not in `known`. It suggests the closest names."""
    names = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    what = f"unknown {kind} {name!r}" + (f"; did you mean {' or '.join(map(repr, close))}?" if close else "")
    return UserError(what, where=where, allowed=", ".join(names), hint=hint)
