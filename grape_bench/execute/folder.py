"""The output folder of a sweep: whether it can be written, and that one scheduler at a time does."""

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
    """Raise UserError unless `folder` can be made or written to; makes nothing."""
    for place in (folder, *folder.absolute().parents):
        if place.exists() or place.is_symlink():
            if not place.is_dir():
                raise UserError("is a file, not a folder", where=str(place), hint=_HINT)
            if not os.access(place, os.W_OK | os.X_OK):
                raise UserError("this folder cannot be written to", where=str(place), hint=_HINT)
            return


def make_folder(folder: Path) -> None:
    """Make `folder`; raises UserError where the system refuses."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot be made: {error.strerror}", where=str(folder), hint=_HINT) from error


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold `folder` for this process; the lock's descriptor. Raises UserError while another process has it.

    The kernel drops the lock with the last process that holds the descriptor, so none is ever left over. The
    processes of a scheduler that was killed a moment ago are waited for.
    """
    path = folder / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", where=str(path), hint=_HINT) from error
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
                    f"another run (process {holder or 'unknown'}) is writing here",
                    where=str(folder),
                    hint=f"wait for it, or {_HINT}",
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
