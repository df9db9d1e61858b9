"""A deadline for reading a folder that is not trusted."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from grape_bench.errors import UserError

AGAIN_S = 1.0
FOLDER_S = 600.0
"""The deadline of a command that reads and scores a folder."""


class DeadlineError(UserError):
    """Raised when work on a folder takes too long."""


@contextmanager
def deadline(seconds: float, where: str) -> Iterator[None]:
    """Raise DeadlineError in this block once it has taken `seconds`. An outer deadline still holds.

    Signals reach only the main thread. In any other thread the block has no deadline.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise DeadlineError(f"reading this took longer than {seconds:g} s", where=where, hint="a smaller folder")

    started, before = time.monotonic(), signal.getsignal(signal.SIGALRM)
    outer, _ = signal.getitimer(signal.ITIMER_REAL)
    if outer and outer < seconds:
        yield
        return
    signal.signal(signal.SIGALRM, stop)
    # The timer repeats, in case some code catches the first error.
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_S)
    try:
        yield
    finally:
        left = max(0.001, outer - (time.monotonic() - started)) if outer else 0.0
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, left, AGAIN_S if left else 0.0)
