"""A child process for the user's code. It shares only two pipes with its parent: one for messages, one for output.

A child is a fork of its parent or a fresh interpreter ([start](start.py)), so the function to call is passed by name.

The code may patch any function, close files, print without end, fork, or end the process. The parent keeps what must
survive that: the record, the log, and the reason why the child ended.
"""

from __future__ import annotations

import faulthandler
import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from os import _exit, getpid, write  # the user's code may replace those in `os`
from pathlib import Path
from typing import Any

from grape_bench.execute.process_tree import die_with_parent, reap
from grape_bench.execute.start import called, start
from grape_bench.record.typed_json import ShapeError

Message = tuple[str, Any]
Send = Callable[[str, Any], None]
"""Send a message from the child: its kind, and a value of JSON types."""

_PART = 1 << 16  # bytes read at once
_LONGEST = 1 << 28  # bytes of a message
_TICK_S = 0.2
_PATIENCE_S = 5.0  # for a child to end after its last message
_encode = json.JSONEncoder().encode


class Child:
    """A process that calls `work` ("module:function") with `argument` (JSON types) and a function to send messages.

    `output` gets whatever the child and its descendants print. `home` is the folder in which the output pipe shows up
    in /proc, so that tools such as lsof show whose it is.
    """

    def __init__(self, work: str, argument: Any, output: Callable[[bytes], object], home: Path) -> None:
        self._output = output
        self._messages, messages = os.pipe()
        self._printed, printed = _named_pipe(home)
        request = {"work": work, "argument": argument, "messages": messages, "printed": printed}
        closed = (self._messages, self._printed)
        self.pid = start(f"{__name__}:become", request, passed=(messages, printed), closed=closed)
        os.close(messages)
        os.close(printed)
        self._code: int | None = None

    def messages(self) -> Iterator[Message]:
        """Yield the messages until the child ends. Raises ShapeError for anything else in their pipe."""
        buffer = b""
        with selectors.DefaultSelector() as selector:
            for descriptor in (self._messages, self._printed):
                selector.register(descriptor, selectors.EVENT_READ)
            while self._messages in selector.get_map():
                ready = [key.fd for key, _ in selector.select(_TICK_S)]
                for descriptor in ready:
                    part = _read(descriptor)
                    if not part:
                        selector.unregister(descriptor)
                    elif descriptor == self._printed:
                        self._output(part)
                    else:
                        *lines, buffer = (buffer + part).split(b"\n")
                        yield from map(_parsed, lines)
                if len(buffer) > _LONGEST:
                    raise ShapeError(f"the job sent a message of more than {_LONGEST >> 20} MiB")
                if not ready and self._ended():
                    return  # a process that it left behind still holds the pipe

    def code(self) -> int:
        """Wait for the child and return its exit code (negative: a signal). If it does not end, kill it first."""
        give_up = time.monotonic() + _PATIENCE_S
        while not self._ended():
            self._drain()  # it may be waiting for space in the pipe
            if time.monotonic() > give_up:
                self.kill()
            time.sleep(0.002)
        self._drain()
        assert self._code is not None
        return self._code

    def kill(self) -> None:
        """Kill the child."""
        if not self._ended():
            os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Close the pipes."""
        os.close(self._messages)
        os.close(self._printed)

    def _ended(self) -> bool:
        if self._code is None and (ended := reap(self.pid)):
            self._code = ended[1]
        return self._code is not None

    def _drain(self) -> None:
        """Pass on the output that is still in the pipe, at most as much as a pipe can hold."""
        os.set_blocking(self._printed, False)
        for _ in range(16):
            if not (part := _read(self._printed)):
                return
            self._output(part)


def _named_pipe(home: Path) -> tuple[int, int]:
    """A pipe whose name in /proc is a path in `home`, or an unnamed pipe if the system has no such names."""
    if sys.platform != "linux":
        return os.pipe()
    path = home / f".{os.getpid()}.output"
    try:
        os.mkfifo(path)
        try:
            read = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            return read, os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        finally:
            path.unlink()
    except OSError:
        return os.pipe()


def _read(descriptor: int) -> bytes:
    """Read what is there now; empty if there is nothing, or at the end."""
    with suppress(BlockingIOError):
        return os.read(descriptor, _PART)
    return b""


def _parsed(line: bytes) -> Message:
    try:
        kind, value = json.loads(line)
    except (ValueError, TypeError, RecursionError) as error:
        raise ShapeError("the job sent something that is no message") from error
    return kind, value


def become(request: dict[str, Any]) -> int:
    """In the child: set up its pipes, and do the work."""
    process, messages, printed = getpid(), request["messages"], request["printed"]

    def send(kind: str, value: Any) -> None:
        if getpid() != process:
            _exit(1)  # the user's code has forked, and its child must not send messages as well
        data = _encode([kind, value]).encode() + b"\n"
        while data:
            data = data[write(messages, data) :]

    die_with_parent()
    if sys.platform == "linux":  # elsewhere the child would outlive a parent that is killed with its group
        os.setsid()
    os.set_inheritable(messages, False)
    for descriptor in (1, 2):
        os.dup2(printed, descriptor)
    os.close(printed)
    faulthandler.enable(2)  # print a trace after a segmentation fault
    called(request["work"])(request["argument"], send)
    return 0
