"""A process that has imported the heavy libraries once and forks a child per request.

It has one socket to its scheduler. Requests and answers are JSON lines: `{"key", "target", "arguments"}` forks a
child that calls `target` ("module:function", given `arguments`, returning an exit code) and is answered by
`{"key", "code"}` when the child has ended, a negative code being a signal's number; `{"kill": key}` ends a child
and all that it started. When the scheduler is gone, however it went, the socket closes and so do all children.
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

_PR_SET_PDEATHSIG = 1


def main(descriptor: int, preload: Sequence[str]) -> None:
    """Import `preload`, then serve the socket `descriptor` until its other end closes."""
    channel = socket.socket(fileno=descriptor)
    for module in preload:
        import_module(module)
    Server(channel).serve()


class Server:
    """The loop: forks on request, tells of ends."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self._children: dict[int, str] = {}  # process -> key
        self._held: list[int] = []  # descriptors kept open until this process ends
        self._buffer = b""
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Run until the scheduler hangs up; then end every child."""
        selector = selectors.DefaultSelector()
        selector.register(self.channel, selectors.EVENT_READ)
        selector.register(self._wake_read, selectors.EVENT_READ)
        try:
            listening = True
            while listening:
                for key, _ in selector.select():
                    if key.fileobj is self.channel:
                        listening = self._receive()
                    else:
                        os.read(self._wake_read, 4096)
                        self._reap()
        except (BrokenPipeError, ConnectionResetError):
            pass  # the scheduler went away while it was being told something
        finally:
            self._end_all()

    def _receive(self) -> bool:
        """Carry out what came in; False when the other end is closed."""
        data, descriptors, _, _ = socket.recv_fds(self.channel, 1 << 16, 1)
        self._held += descriptors
        if not data:
            return False
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in filter(None, lines):
            request = json.loads(line)
            if "kill" in request:
                self._kill([pid for pid, key in self._children.items() if key == request["kill"]])
            elif "key" in request:
                self._fork(request)
        return True

    def _fork(self, request: dict[str, Any]) -> None:
        pid = os.fork()
        if pid == 0:
            self._become(request)
        self._children[pid] = request["key"]

    def _become(self, request: dict[str, Any]) -> NoReturn:
        """In the child: a session of its own, and then the target."""
        code = 1
        try:
            # A group of its own, to be ended as a whole with whatever the job starts.
            os.setsid()
            die_with_parent()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self.channel.close()
            for descriptor in (self._wake_read, self._wake_write, *self._held):
                os.close(descriptor)
            module, _, function = request["target"].partition(":")
            code = getattr(import_module(module), function)(request["arguments"])
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            # Not sys.exit: what the server has registered to be done at its own end is not the child's.
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError):
                    stream.flush()
            os._exit(code)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._kill([pid])  # what it started and left behind
            answer = {"key": self._children.pop(pid), "code": os.waitstatus_to_exitcode(status)}
            self.channel.sendall(json.dumps(answer).encode() + b"\n")

    def _kill(self, groups: Sequence[int]) -> None:
        for group in groups:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)

    def _end_all(self) -> None:
        for pid in self._children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # by itself too: it may not have a group of its own yet
        self._kill(list(self._children))
        for pid in self._children:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def die_with_parent() -> None:
    """Have the kernel end this process when its parent is killed (Linux; elsewhere the socket has to do)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
