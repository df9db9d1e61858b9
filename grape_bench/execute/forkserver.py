"""A process that starts a child per request. On Linux it imports the heavy libraries once, and its children are forks.

It talks to its scheduler over one socket, in JSON lines:

    -> {"key": "a1", "target": "module:function", "arguments": {...}}   start a child that calls the function
    <- {"key": "a1", "pid": 4711}                                       the child runs
    -> {"kill": "a1"}                                                   kill the child
    <- {"key": "a1", "code": -9}                                        it ended; a negative code is a signal

A child's descendants are killed with it. If the scheduler goes away, even by `kill -9`, the socket closes, and the
server kills all children.

Where processes start as fresh interpreters ([start](start.py)), the server imports nothing, and the rest is the same.

Why not the fork server of `multiprocessing`? It kills only the child itself: processes that a job started outlive the
job. It also does not notice a scheduler that was killed with SIGKILL: the jobs keep running.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from grape_bench.errors import UserError
from grape_bench.execute.process_tree import adopt_orphans, children, die_with_parent, end, end_tree, reap
from grape_bench.execute.start import called, start


def main(descriptor: int, preload: Sequence[str]) -> None:
    """Import the modules in `preload`, call its "module:function" entries, and serve the socket until it closes."""
    adopt_orphans()
    channel = socket.socket(fileno=descriptor)
    channel.set_inheritable(False)
    for name in preload:
        module, _, function = name.partition(":")
        found = import_module(module)
        if function:
            with suppress(UserError):  # the check before the sweep reports it
                getattr(found, function)()
    # Garbage collection in a child would touch every imported object, and so copy every page.
    gc.collect()
    gc.freeze()
    Server(channel).serve()


class Server:
    """Forks children on request and reports when they end."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self._children: dict[int, str] = {}  # process id -> key
        self._held: list[int] = []  # descriptors to keep open until this process ends
        self._buffer = b""
        self._wake_read, self._wake_write = os.pipe()
        for descriptor in (self._wake_read, self._wake_write):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(self._wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Serve until the scheduler closes the socket, then kill every child."""
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
            pass  # the scheduler went away while we were sending
        finally:
            self._end_all()

    def _receive(self) -> bool:
        """Handle incoming requests. Returns False if the other end has closed."""
        data, descriptors, _, _ = socket.recv_fds(self.channel, 1 << 16, 1)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
            self._held.append(descriptor)
        if not data:
            return False
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in filter(None, lines):
            request = json.loads(line)
            if "kill" in request:
                for pid in [pid for pid, key in self._children.items() if key == request["kill"]]:
                    end_tree(pid)
            elif "key" in request:
                self._start(request)
        return True

    def _start(self, request: dict[str, Any]) -> None:
        closed = (self.channel.fileno(), self._wake_read, self._wake_write, *self._held)
        pid = start(f"{__name__}:become", request, closed=closed)
        self._children[pid] = request["key"]
        self._answer({"key": request["key"], "pid": pid})

    def _reap(self) -> None:
        """Report every child that ended, and kill the processes that it left behind."""
        with suppress(ChildProcessError):
            while ended := reap():
                pid, code = ended
                if pid in self._children:
                    self._answer({"key": self._children.pop(pid), "code": code})
        # A live job adopts its own orphans, so the orphans that arrive here belong to a dead job.
        for pid in set(children(os.getpid())) - set(self._children):
            end(pid)

    def _answer(self, answer: dict[str, Any]) -> None:
        self.channel.sendall(json.dumps(answer).encode() + b"\n")

    def _end_all(self) -> None:
        """Kill until no child is left. The children of a killed process become children of this one."""
        with suppress(ChildProcessError):
            while True:
                for pid in {*self._children, *children(os.getpid())}:
                    end_tree(pid)
                self._children.pop(os.waitpid(-1, 0)[0], None)


def become(request: dict[str, Any]) -> int:
    """In the child: start a session, and call the target."""
    # Its own process group, so that it can be killed together with whatever the job starts.
    os.setsid()
    die_with_parent()
    adopt_orphans()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    code: int = called(request["target"])(request["arguments"])
    return code
