"""The scheduler's side of the fork server: it starts children, and a new server if one was killed."""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from grape_bench.errors import UserError, printable, shortened
from grape_bench.execute.process_tree import end_tree
from grape_bench.execute.start import method

# -c with the scheduler's own sys.path: `-m` would put the current folder first, and a user's `data/` or `random.py`
# there would shadow a library's module.
_BOOT = (
    "import sys, json; path, descriptor, preload = sys.argv[1:]; sys.path[:] = json.loads(path); "
    "from grape_bench.execute.forkserver import main; main(int(descriptor), json.loads(preload))"
)


def start_server(channel: int, preload: Sequence[str], log: int) -> subprocess.Popen[bytes]:
    """Start the fork server, which serves the socket `channel` and prints to `log` (both file descriptors)."""
    arguments = [json.dumps(sys.path), str(channel), json.dumps(list(preload))]
    return subprocess.Popen(
        [sys.executable, "-c", _BOOT, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=[channel],
        # One thread: a process with a thread pool must not fork. Each child then sets its own number of threads.
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        start_new_session=True,  # Ctrl-C reaches only the scheduler, which then decides
    )


_TAIL = 4000  # bytes of the server's output that a message may need


class DiedError(RuntimeError):
    """Raised for a process that ended, or was killed, before its work was done."""


class ServerLostError(DiedError):
    """Raised when the fork server has ended, and every child with it. The next `start` starts another one."""


class Pool:
    """Child processes, by key. Forks start with the modules in `preload` imported and its functions called.

    Raises UserError if the environment asks for a start method that this system does not have.
    """

    def __init__(self, preload: Sequence[str]) -> None:
        self._preload = preload if method() == "fork" else ()
        self._held: list[int] = []
        self._open()

    def _open(self) -> None:
        self._channel, theirs = socket.socketpair()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (close() closes it)
        with theirs:
            self._process = start_server(theirs.fileno(), self._preload, self._log.fileno())
        self._lost = self._answered = False
        self._pids: dict[str, int] = {}
        self._buffer = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._channel, selectors.EVENT_READ)
        for descriptor in self._held:
            self._give(descriptor)

    def start(self, key: str, target: str, arguments: Any) -> None:
        """Start a child that calls `target`, "module:function", with `arguments` (JSON types)."""
        if self._lost:
            self._open()
        self._send({"key": key, "target": target, "arguments": arguments})

    def kill(self, key: str) -> None:
        """Kill the child `key` and everything it started. `ended` then reports it."""
        self._send({"kill": key})

    def hold(self, descriptor: int) -> None:
        """Make the server keep a duplicate of `descriptor` until its last child is gone."""
        self._held.append(descriptor)
        if not self._lost:
            self._give(descriptor)

    def ended(self, timeout_s: float | None) -> list[tuple[str, int]]:
        """Wait for children to end. Returns (key, exit code) pairs; a negative code is a signal. Empty on a timeout.

        Raises ServerLostError, or UserError if the server ended before it did anything.
        """
        if self._lost or not self._selector.select(timeout_s):
            return []
        try:
            data = self._channel.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            raise self._loss()
        self._answered = True
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        codes = []
        for answer in map(json.loads, filter(None, lines)):
            if "pid" in answer:
                self._pids[answer["key"]] = answer["pid"]
            else:
                del self._pids[answer["key"]]
                codes.append((answer["key"], answer["code"]))
        return codes

    def process(self, key: str) -> int | None:
        """Return the process id of the child `key`, or None before `ended` has seen it start and after it ended."""
        return self._pids.get(key)

    def log(self) -> str:
        """Return the end of the output of the server, and of children that did not redirect theirs."""
        self._log.seek(max(0, os.fstat(self._log.fileno()).st_size - _TAIL))
        return self._log.read(_TAIL).decode(errors="replace")

    def close(self) -> None:
        """Kill every child, then the server."""
        if not self._lost:
            self._stop()

    def _stop(self) -> None:
        self._selector.close()
        self._channel.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()  # the kernel then kills its children
            self._process.wait()
        self._log.close()

    def _give(self, descriptor: int) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # `ended` reports it
            socket.send_fds(self._channel, [b"\n"], [descriptor])

    def _send(self, request: dict[str, Any]) -> None:
        try:
            self._channel.sendall(json.dumps(request).encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._loss() from error

    def _loss(self) -> Exception:
        """Clean up after a server that has ended, and return the error."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        for pid in self._pids.values():  # a server that was killed could not kill them
            end_tree(pid)
        printed = self.log().strip()
        self._lost = True
        self._stop()
        what = "the process that starts the jobs has ended"
        if self._answered:
            return ServerLostError(what)
        last = f": {shortened(printable(printed.splitlines()[-1]))}" if printed else " at once"
        hint = "free some memory, or raise its limit (ulimit -v), then run the same command again to resume"
        return UserError(what + last, hint=hint)
