"""The output folder of a sweep: checks that it is writable, and locks it for one scheduler at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grape_bench.errors import UserError

LOCK = ".lock"
_HINT = "another folder, with --out DIR"
_PATIENCE_S = 5.0


def check_folder(folder: Path) -> None:
    """Raise UserError unless `folder` can be created or written to. Creates nothing."""
    for existing in (folder, *folder.absolute().parents):
        if existing.exists() or existing.is_symlink():
            if not existing.is_dir():
                raise UserError("is a file, not a folder", where=str(existing), hint=_HINT)
            if not os.access(existing, os.W_OK | os.X_OK):
                raise UserError("this folder is not writable", where=str(existing), hint=_HINT)
            return


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents. Raises UserError if the system refuses."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot create this folder: {error.strerror}", where=str(folder), hint=_HINT) from error


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Lock `folder` for this process and yield the lock's descriptor. Raises UserError if another process holds it.

    The kernel releases the lock when the last process that holds the descriptor ends, so no stale lock remains.
    If the scheduler was killed a moment ago, this waits for its processes to end.
    """
    path = folder / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(f"cannot write this file: {error.strerror}", where=str(path), hint=_HINT) from error
    try:
        _acquire(descriptor, folder)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, folder: Path) -> None:
    give_up = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode().strip()
            if _alive(holder) or time.monotonic() > give_up:
                raise UserError(
                    f"another run (process {holder or 'unknown'}) is writing to this folder",
                    where=str(folder),
                    hint=f"wait until it ends, or use {_HINT}",
                ) from error
            time.sleep(0.1)
        else:
            return


def _alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
