"""The scheduler's side of the fork server, and calls of functions that need torch in a child."""

from __future__ import annotations

import json
import os
import pickle
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError, printable
from grape_bench.execute.process_tree import end

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


class Pool:
    """Child processes that start with the modules in `preload` imported and its functions called."""

    def __init__(self, preload: Sequence[str]) -> None:
        self._channel, theirs = socket.socketpair()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (close() closes it)
        with theirs:
            self._process = start_server(theirs.fileno(), preload, self._log.fileno())
        self._pids: dict[str, int] = {}
        self._buffer = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._channel, selectors.EVENT_READ)

    def start(self, key: str, target: str, arguments: Any) -> None:
        """Fork a child that calls `target`, "module:function", with `arguments` (JSON types)."""
        self._send({"key": key, "target": target, "arguments": arguments})

    def kill(self, key: str) -> None:
        """Kill the child `key` and everything it started. `ended` then reports it."""
        self._send({"kill": key})

    def hold(self, descriptor: int) -> None:
        """Make the server keep a duplicate of `descriptor` until its last child is gone."""
        socket.send_fds(self._channel, [b"\n"], [descriptor])

    def ended(self, timeout_s: float | None) -> list[tuple[str, int]]:
        """Wait for children to end. Returns (key, exit code) pairs; a negative code is a signal. Empty on a timeout."""
        if not self._selector.select(timeout_s):
            return []
        try:
            data = self._channel.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            raise self._lost()
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
        """Return the output of the server, and of children that did not redirect theirs."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def close(self) -> None:
        """Kill every child, then the server."""
        self._channel.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()  # the kernel then kills its children
            self._process.wait()
        self._log.close()

    def _send(self, request: dict[str, Any]) -> None:
        try:
            self._channel.sendall(json.dumps(request).encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._lost() from error

    def _lost(self) -> RuntimeError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        for pid in self._pids.values():  # a server that was killed could not kill them
            end(pid)
        code = self._process.returncode
        return RuntimeError(f"the fork server ended with exit code {code}:\n{self.log()[-4000:]}")


_KEY = "question"


def ask(pool: Pool, function: str, *arguments: Any, timeout_s: float | None = None) -> Any:
    """Call `function` ("module:name") in a child of `pool`, with arguments of JSON types, and return its result.

    Raises the UserError that the function raised, TimeoutError if it takes longer than `timeout_s`, or RuntimeError if
    the child died for another reason.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer"
        request = {"function": function, "arguments": arguments, "answer": str(path)}
        pool.start(_KEY, "grape_bench.execute.pool:give", request)
        code, late = None, False
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while code is None:
            left = None if deadline is None or late else max(0.0, deadline - time.monotonic())
            code = dict(pool.ended(left)).get(_KEY)
            if code is None and left == 0:
                late = True
                pool.kill(_KEY)
        if late:
            raise TimeoutError(f"{function} took longer than {timeout_s:g} s")
        if code != 0 or not path.exists():
            raise RuntimeError(f"{function} ended with exit code {code}:\n{pool.log()[-4000:]}")
        content = pickle.loads(path.read_bytes())
    if isinstance(content, UserError):
        raise content
    return content


def give(request: dict[str, Any]) -> int:
    """In the child: call the function, write its result or its UserError to a file, and return the exit code."""
    module, _, name = request["function"].partition(":")
    try:
        content = getattr(import_module(module), name)(*request["arguments"])
    except UserError as error:
        content = error
        error.what = printable(error.what)  # may quote the user's code
    Path(request["answer"]).write_bytes(pickle.dumps(content))
    return 0
