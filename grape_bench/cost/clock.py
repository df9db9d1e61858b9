"""A clock that synchronizes with the device and can be paused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Clock:
    """Sums the seconds inside `running()`, without those inside `paused()`."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = 0.0
        self._since: float | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of the block, until the device has finished its work."""
        self._start()
        try:
            yield
        finally:
            self._stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time of the block. Works inside or outside `running()`."""
        was_running = self._since is not None
        if was_running:
            self._stop()
        try:
            yield
        finally:
            if was_running:
                self._start()

    def _start(self) -> None:
        self._wait()
        self._since = time.perf_counter()

    def _stop(self) -> None:
        self._wait()
        assert self._since is not None, "the clock runs"
        self.seconds += time.perf_counter() - self._since
        self._since = None

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
