"""A process that imports the heavy libraries once, and then forks a child per request.

It talks to its scheduler over one socket, in JSON lines:

    -> {"key": "a1", "target": "module:function", "arguments": {...}}   fork a child that calls the function
    <- {"key": "a1", "pid": 4711}                                       the child runs
    -> {"kill": "a1"}                                                   kill the child
    <- {"key": "a1", "code": -9}                                        it ended; a negative code is a signal

A child's descendants are killed with it. If the scheduler goes away, even by `kill -9`, the socket closes, and the
server kills all children.

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
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

from grape_bench.errors import UserError
from grape_bench.execute.process_tree import adopt_orphans, children, die_with_parent, end


def main(descriptor: int, preload: Sequence[str]) -> None:
    """Import the modules in `preload`, call its "module:function" entries, and serve the socket until it closes."""
    adopt_orphans()
    channel = socket.socket(fileno=descriptor)
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
        """In the child: start a session, call the target, and exit."""
        code = 1
        try:
            # Its own process group, so that it can be killed together with whatever the job starts.
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
            # Not sys.exit: the server's exit handlers must not run in the child.
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError):
                    stream.flush()
            os._exit(code)

    def _reap(self) -> None:
        """Report every child that ended, and kill the processes that it left behind."""
        with suppress(ChildProcessError):
            # WNOWAIT: until we wait for the child, no other process can get its id, so killing its group is safe.
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                end(ended.si_pid)  # its group
                _, status = os.waitpid(ended.si_pid, 0)
                if ended.si_pid in self._children:
                    code = os.waitstatus_to_exitcode(status)
                    self._answer({"key": self._children.pop(ended.si_pid), "code": code})
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
                    end(pid)
                self._children.pop(os.waitpid(-1, 0)[0], None)
