"""Clean stops: Ctrl-C or SIGTERM stops a command once, at any moment."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """One of the two signals arrived. `exit_code` is 128 + its number, as in a shell."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


@contextmanager
def stoppable(*, restore: bool) -> Iterator[None]:
    """Make the first signal raise Stopped, and ignore later ones, so that they cannot interrupt the cleanup.

    `restore` puts the caller's signal handlers back at the end. Do not set it if the process ends with the command: a
    second Ctrl-C would interrupt the interpreter's shutdown.
    """
    before = {each: signal.getsignal(each) for each in _SIGNALS}
    for each in _SIGNALS:
        signal.signal(each, _stop)
    try:
        yield
    finally:
        if restore:
            for each, handler in before.items():
                # None: the handler was not installed from Python and cannot be put back.
                signal.signal(each, signal.SIG_DFL if handler is None else handler)


def _stop(number: int, _: FrameType | None) -> NoReturn:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(number)
