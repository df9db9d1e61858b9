"""A log file of limited size. It keeps the head and tail of a long output, and says how many bytes were left out."""

from __future__ import annotations

import errno
import os
from pathlib import Path

HEAD = TAIL = 1 << 20  # bytes


class CappedLog:
    """Appends output to a file of at most `head` + 2 × `tail` bytes, plus one line."""

    def __init__(self, path: Path, how: int = os.O_TRUNC, *, head: int = HEAD, tail: int = TAIL) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | how, 0o644)
        self._head, self._tail, self._left_out = head, tail, 0
        self._begin = head  # where the tail begins: after the head, and after the line if there is one
        self._broken = False

    def write(self, output: bytes) -> None:
        """Append `output`. Raises the first OSError, and drops all output after it.

        The limit on the size of files (`ulimit -f`) raises nothing, because lost output should not fail a job.
        """
        if self._broken:
            return
        try:
            while output:
                output = output[os.write(self._file, output) :]
            size = os.fstat(self._file).st_size
            if size > self._head + 2 * self._tail:
                self._shorten(size)
        except OSError as error:
            self._broken = True
            if error.errno != errno.EFBIG:
                raise

    def _shorten(self, size: int) -> None:
        """Cut the file down to head and tail. Another process may append meanwhile, and lose some output."""
        # Head 4, tail 3: `ABCDefghijklmn` -> `ABCD`, the line "7 bytes left out", `lmn`. A later cut drops what lies
        # between the line and the new tail, and writes a new line with the sum.
        self._left_out += size - self._tail - self._begin
        line = f"\n[... {self._left_out:,} bytes left out ...]\n".encode()
        tail = os.pread(self._file, self._tail, size - self._tail)
        os.ftruncate(self._file, self._head)
        os.write(self._file, line + tail)
        self._begin = self._head + len(line)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
