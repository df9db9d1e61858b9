"""A background thread that copies records to a store while the jobs run, without delaying them."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from grape_bench.errors import UserError
from grape_bench.record.job import Job
from grape_bench.record.record import Record
from grape_bench.track.store import OpenStore, Store, Sweep


@dataclass(frozen=True)
class Live:
    """A running job, and the latest row of its curve."""

    job: Job
    row: Mapping[str, Any]


Summarize = Callable[[Path, Path], None]
"""Reads a folder of runs, and writes files about them to a second folder."""


def finish(store: Store, folder: Path, complete: bool, summarize: Summarize | None) -> None:
    """End a sweep in its store. Summarize a complete one. Raises UserError if it cannot be summarized."""
    try:
        if complete and summarize:
            with TemporaryDirectory() as written:
                summarize(folder, Path(written))
                store.attach(Path(written))
    finally:
        store.close(complete=complete)


LIVE_S = 10.0
"""A running job is shown once it has trained for this many seconds. Shorter jobs would only flicker."""
OPENING_S = 120.0
"""The time limit of the first connection. MLflow needs many seconds to create a database."""


class Mirror:
    """Copies records in the background, and at the end the files that `summarize` writes about them.

    A failure sets `warning` and leaves the records on disk as they are. `note` and `place` are the store's.
    """

    def __init__(self, uri: str, open_store: OpenStore, summarize: Summarize | None = None) -> None:
        self.uri, self._open_store, self._summarize = uri, open_store, summarize
        self.warning = self.note = self.place = ""
        self._opened = threading.Event()
        self._records: queue.SimpleQueue[Record | Live | bool] = queue.SimpleQueue()
        self._shown: dict[str, Any] = {}  # job id -> samples at its latest evaluation
        self._thread: threading.Thread | None = None
        self._copied = 0

    def open(self, sweep: Sweep) -> None:
        """Start the thread, which opens the store before the first record arrives."""
        # A daemon thread: a server that does not answer must not keep the process alive.
        self._thread = threading.Thread(target=self._work, args=(sweep,), name="mirror", daemon=True)
        self._thread.start()

    def add(self, record: Record) -> None:
        """Queue `record` for copying."""
        self._records.put(record)

    def follow(self, job: Job, row: Mapping[str, Any]) -> None:
        """Queue the latest evaluation of a running job, once, if the job is a long one."""
        samples = row.get("samples")  # the job may have written anything
        if samples is not None and row.get("seconds", 0) >= LIVE_S and self._shown.get(job.id) != samples:
            self._shown[job.id] = samples
            self._records.put(Live(job, row))

    def close(self, *, complete: bool, patience_s: float) -> None:
        """Wait until all records are copied. Gives up after `patience_s` seconds in which no record was copied.

        `complete`: no job of the sweep is left to run.
        """
        if self._thread is None:
            return
        self._records.put(complete)
        if complete:
            self._opened.wait(OPENING_S)
        copied = -1
        while self._thread.is_alive() and copied < self._copied:
            copied = self._copied
            self._thread.join(patience_s)
        if self._thread.is_alive():
            self.warning = f"no answer within {patience_s:g} s"

    def _work(self, sweep: Sweep) -> None:
        # Any error of a database or network becomes a warning at the end. It must not stop the jobs.
        try:
            store = self._open_store(self.uri, sweep)
            self.note, self.place = store.note, store.place
            self._opened.set()
            while not isinstance(record := self._records.get(), bool):
                try:
                    if isinstance(record, Live):
                        store.follow(record.job, record.row)
                    else:
                        store.add(record)
                except UserError as error:  # a file of this job is damaged
                    self.warning = in_a_line(error)
                self._copied += 1
            finish(store, sweep.folder, record, self._summarize)
        except Exception as error:
            self.warning = in_a_line(error)
        finally:
            self._opened.set()


def in_a_line(error: Exception) -> str:
    """Return a store's error as one short line. A network error is reduced to its cause."""
    if isinstance(error, UserError):
        return f"{error.what}; try {error.hint}" if error.hint else error.what
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    cause = re.search(r"Connection refused|timed out|Name or service not known", first_line)
    text = cause[0] if cause else f"{type(error).__name__}: {first_line}"
    return text if len(text) <= 120 else text[:119] + "…"
