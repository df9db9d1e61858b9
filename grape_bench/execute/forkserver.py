"""A process that has imported the heavy libraries once and forks a child per request.

It has one socket to its scheduler. Requests and answers are JSON lines: `{"key", "target", "arguments"}` forks a
child that calls `target` ("module:function", given `arguments`, returning an exit code) and is answered by
`{"key", "pid"}` at once and by `{"key", "code"}` when the child has ended, a negative code being a signal's number;
`{"kill": key}` ends a child. With a child ends all that it has started. When the scheduler is gone, however it went,
the socket closes and so do all children.
"""

from __future__ import annotations

import gc
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

from grape_bench.errors import UserError
from grape_bench.execute.process_tree import adopt_orphans, children, die_with_parent, end


def main(descriptor: int, preload: Sequence[str]) -> None:
    """Import the modules of `preload` and call its "module:function"s, then serve the socket until it closes."""
    adopt_orphans()
    channel = socket.socket(fileno=descriptor)
    for name in preload:
        module, _, function = name.partition(":")
        found = import_module(module)
        if function:
            with suppress(UserError):  # the check before the run will tell the user
                getattr(found, function)()
    # A child that collects garbage would look at all that was imported, and copy every page of it.
    gc.collect()
    gc.freeze()
    Server(channel).serve()


class Server:
    """The loop: forks on request, tells of ends."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self._children: dict[int, str] = {}  # process -> key
        self._held: list[int] = []  # descriptors kept open until this process ends
        self._buffer = b""
        self._wake_read, self._wake_write = os.pipe()
        for descriptor in (self._wake_read, self._wake_write):
            os.set_blocking(descriptor, False)
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
                for pid in [pid for pid, key in self._children.items() if key == request["kill"]]:
                    end(pid)
            elif "key" in request:
                self._fork(request)
        return True

    def _fork(self, request: dict[str, Any]) -> None:
        pid = os.fork()
        if pid == 0:
            self._become(request)
        self._children[pid] = request["key"]
        self._answer({"key": request["key"], "pid": pid})

    def _become(self, request: dict[str, Any]) -> NoReturn:
        """In the child: a session of its own, and then the target."""
        code = 1
        try:
            # A group of its own, to be ended as a whole with whatever the job starts.
            os.setsid()
            die_with_parent()
            adopt_orphans()
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
        """Tell of every child that has ended, and end what it has left behind."""
        with suppress(ChildProcessError):
            # Seen before it is waited for: until then no other process can get its id.
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                end(ended.si_pid)  # its group
                _, status = os.waitpid(ended.si_pid, 0)
                if ended.si_pid in self._children:
                    code = os.waitstatus_to_exitcode(status)
                    self._answer({"key": self._children.pop(ended.si_pid), "code": code})
        # Jobs adopt the orphans of their own: those that come here are a dead job's.
        for pid in set(children(os.getpid())) - set(self._children):
            end(pid)

    def _answer(self, answer: dict[str, Any]) -> None:
        self.channel.sendall(json.dumps(answer).encode() + b"\n")

    def _end_all(self) -> None:
        """Kill until there is no child left: what the killed ones had started becomes a child here in its turn."""
        with suppress(ChildProcessError):
            while True:
                for pid in {*self._children, *children(os.getpid())}:
                    end(pid)
                self._children.pop(os.waitpid(-1, 0)[0], None)
