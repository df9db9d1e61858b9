"""Errors that a user can fix."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path


class UserError(Exception):
    """A mistake in the user's input: what is wrong, where, what is allowed, and what to type next.

    The command line prints it without a traceback and exits with code 2.
    """

    def __init__(self, what: str, *, where: str = "", allowed: str = "", hint: str = "") -> None:
        self.what, self.where, self.allowed, self.hint = what, where, allowed, hint
        super().__init__(what, where, allowed, hint)

    def __str__(self) -> str:
        what = self.what.replace("\n", "\n  ")  # an indented line cannot pass for one of ours
        lines = [f"{in_one_line(self.where)}: {what}" if self.where else what]
        if self.allowed:
            lines.append(f"  allowed: {self.allowed}")
        if self.hint:
            lines.append(f"  try: {self.hint}")
        return redacted("\n".join(lines))

    @property
    def parts(self) -> dict[str, str]:
        """The arguments that rebuild this error in another process."""
        return {"what": self.what, "where": self.where, "allowed": self.allowed, "hint": self.hint}

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.allowed, self.hint)


class DoesNotApplyError(UserError):
    """A learning rule makes no sense for this network. The message gives the reason, which the rule declares."""


def _rebuild(cls: type[UserError], what: str, where: str, allowed: str, hint: str) -> UserError:
    return cls(what, where=where, allowed=allowed, hint=hint)


LONGEST = 2000  # characters of a user's text in a message or a record


def described(error: BaseException) -> str:
    """The type and text of an exception from the user's code, such as `KeyError: 'b'`.

    Control characters and lone surrogates are escaped. Passwords and the middle of a long text are removed.
    """
    try:
        text = str(error)
    except Exception:
        text = "its text cannot be shown"
    named = text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
    return printable(redacted(shortened(named.strip())))


_LIBRARIES = rf"^<|/lib/python3|^{re.escape(str(Path(__file__).parent))}/"


def raised(error: BaseException) -> str:
    """`described`, with the file and line that led to it: the user's last one, or else the last one outside torch."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/torch/" not in frame.filename]
    frame = next(reversed(_of_users(frames) or frames), None)
    return described(error) + (f" ({frame.filename.rpartition('/')[2]}:{frame.lineno})" if frame else "")


@contextmanager
def users_mistakes() -> Iterator[None]:
    """Raise an error of the user's own code in the block as a UserError. Any other error is a bug of ours."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        if not _of_users(traceback.extract_tb(error.__traceback__)):
            raise
        raise UserError(raised(error)) from error


def _of_users(frames: Sequence[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    return [frame for frame in frames if not re.search(_LIBRARIES, frame.filename)]


def log_error() -> None:
    """Write the traceback of the current exception to the process's own stderr.

    A rule may have replaced `sys.stderr` with an object without `write`, and writing there would crash the whole run.
    """
    traceback.print_exc(file=sys.__stderr__)


def shortened(text: str) -> str:
    """`text`, with its middle removed if it is longer than `LONGEST`."""
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]} [... {len(text) - 2 * half:,} characters left out ...] {text[-half:]}"


# `user:password@` and the like after `://`, even with a slash in the password, and secrets in URL parameters.
# The lengths are bounded, because a long text could be crafted to match slowly.
_CREDENTIALS = re.compile(r"(?<=://)(?:[^/\s'\"]{0,300}@|[^/\s:@]{0,100}:(?!\d{1,5}(?:[/?#\s]|$))[^\s@'\"]{0,300}@)")
_WORDS = "password|passwd|pwd|token|secret|key|signature|credential"
_SECRETS = re.compile(rf"(?<=[?&])([\w-]{{0,40}}(?:{_WORDS})[\w-]{{0,40}}=)[^&\s'\"]+", re.IGNORECASE)


def redacted(text: str) -> str:
    """`text` without the passwords and tokens in its addresses."""
    return _SECRETS.sub(r"\1***", _CREDENTIALS.sub("", text))


def printable(text: str) -> str:
    """`text` with everything escaped except letters, symbols, spaces and line breaks, for example as `\\x1b`.

    This covers terminal control codes, characters that change the text direction, and characters with no width.
    """
    return "".join(c if _is_visible(c) or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def in_one_line(text: str) -> str:
    """`printable` text whose line breaks and tabs are escaped too."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


# Letters and marks that Unicode counts as printable but that have no width, such as variation selectors.
INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def _is_visible(character: str) -> bool:
    return character.isprintable() and not INVISIBLE.match(character)


@contextmanager
def located(where: str) -> Iterator[None]:
    """Add the location `where` to a UserError raised in the block, unless it already has one."""
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
