"""A thread that copies records to MLflow while the jobs run, and never stands in their way."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from grape_bench.record.record import Record


@dataclass(frozen=True)
class Sweep:
    """One output folder's runs of one suite: in MLflow the parent of all its jobs."""

    suite: str
    version: str
    id: str  # kept in the manifest, so that a continued sweep goes on in the same runs
    folder: Path


class Store(Protocol):
    """Where records are copied to."""

    def add(self, record: Record) -> bool:
        """Copy one job, once however often it is asked; whether it was now."""

    def close(self, complete: bool) -> None:
        """End the sweep."""


class Mirror:
    """Copies records in the background. A failure is kept in `warning`; the records on disk are whole anyway."""

    def __init__(self, uri: str, open_store: Callable[[str, Sweep], Store]) -> None:
        self.uri, self._open_store = uri, open_store
        self.warning = ""
        self._records: queue.SimpleQueue[Record | bool] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._copied = 0

    def open(self, sweep: Sweep) -> None:
        """Begin; the store is prepared in the background, before the first record needs it."""
        # A daemon: a server that does not answer must not keep the command from ending.
        self._thread = threading.Thread(target=self._work, args=(sweep,), name="mirror", daemon=True)
        self._thread.start()

    def add(self, record: Record) -> None:
        """Copy `record`, soon."""
        self._records.put(record)

    def close(self, *, complete: bool, patience_s: float) -> None:
        """Wait until everything is copied, but not `patience_s` without a record coming through.

        `complete`: no job of the sweep is left to do.
        """
        if self._thread is None:
            return
        self._records.put(complete)
        copied = -1
        while self._thread.is_alive() and copied < self._copied:
            copied = self._copied
            self._thread.join(patience_s)
        if self._thread.is_alive():
            self.warning = f"no answer within {patience_s:g} s"

    def _work(self, sweep: Sweep) -> None:
        # Whatever goes wrong in a database or on a network is told at the end; it must not cost a record.
        try:
            store = self._open_store(self.uri, sweep)
            while not isinstance(record := self._records.get(), bool):
                store.add(record)
                self._copied += 1
            store.close(complete=record)
        except Exception as error:
            self.warning = in_a_line(error)


def in_a_line(error: Exception) -> str:
    """What a store's failure comes down to: the last of the causes that its libraries have strung together."""
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    cause = re.search(r"Connection refused|timed out|Name or service not known", first_line)
    text = cause[0] if cause else f"{type(error).__name__}: {first_line}"
    return text if len(text) <= 120 else text[:119] + "…"
