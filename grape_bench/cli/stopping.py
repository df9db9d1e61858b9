"""Ctrl-C and SIGTERM: one orderly end, at whatever moment they come."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """One of the two has come; `exit_code` is what shells expect of a program that ends for it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def raise_when_stopped() -> None:
    """Have the first signal raise Stopped; further ones are ignored, so that they cannot stop the tidying up."""
    for each in _SIGNALS:
        signal.signal(each, _stop)


def _stop(number: int, _: FrameType | None) -> NoReturn:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(number)
