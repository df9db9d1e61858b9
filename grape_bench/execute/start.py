"""How a process of the harness starts: as a fork, or as a fresh interpreter (spawn).

A fork inherits the imported libraries, so it starts in milliseconds. Only Linux forks. On macOS, system libraries start
threads, which a fork does not inherit, so a forked process may hang or crash. A fresh interpreter takes seconds to
import torch. The results are bit-identical.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from os import _exit, write  # the user's code may replace those in `os`
from typing import Any, NoReturn

from grape_bench.errors import UserError

START = "GRAPE_BENCH_START"
"""Environment variable that chooses how processes start: `spawn`, or on Linux also `fork`, the default there."""

# -P: the current folder is not on the path, where a user's `json.py` would shadow the library's.
_BOOT = (
    "import json, sys; request = json.load(sys.stdin); sys.path[:] = request.pop('path'); "
    "from grape_bench.execute.start import run; run(**request)"
)


def method() -> str:
    """Return how processes start on this system: "fork" or "spawn". Raises UserError for a wrong `START`."""
    allowed = ("fork", "spawn") if sys.platform == "linux" else ("spawn",)
    chosen = os.environ.get(START) or allowed[0]
    if chosen not in allowed:
        raise UserError(
            f"processes cannot start by {chosen!r} on {sys.platform}", where=START, allowed=", ".join(allowed)
        )
    return chosen


def start(target: str, argument: Any, *, passed: Sequence[int] = (), closed: Sequence[int] = ()) -> int:
    """Start a process that calls `target` ("module:function") with `argument` (JSON types), and return its id.

    Its exit code is the function's return value. It inherits the descriptors in `passed` with the same numbers, and
    closes those in `closed`, which a fresh interpreter does not have.
    """
    if method() == "spawn":
        return _spawn(target, argument, passed)
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process == 0:
        run(target, argument, closed)
    return process


def run(target: str, argument: Any, closed: Sequence[int] = ()) -> NoReturn:
    """In the new process: call the function, and exit with its return value. An exception prints a traceback."""
    code = 1
    try:
        for descriptor in closed:
            os.close(descriptor)
        code = int(called(target)(argument))
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        print_trace()
    except BaseException:
        print_trace()
    finally:
        # Not sys.exit: the exit handlers of a forked parent must not run here.
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        _exit(code & 0xFF)


def called(target: str) -> Callable[..., Any]:
    """Return the function that "module:function" names."""
    module, _, name = target.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


def print_trace() -> None:
    """Print the traceback of the exception that is being handled, even if the user's code has replaced `sys.stderr`."""
    with suppress(Exception):
        write(2, traceback.format_exc().encode(errors="backslashreplace"))


def _spawn(target: str, argument: Any, passed: Sequence[int]) -> int:
    request = {"path": sys.path, "target": target, "argument": argument}
    for descriptor in passed:
        os.set_inheritable(descriptor, True)
    # A file, because the request may be too large for a pipe or a command-line argument.
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(request).encode())
        file.seek(0)
        actions = [(os.POSIX_SPAWN_DUP2, file.fileno(), 0)]
        command = [sys.executable, "-P", "-c", _BOOT]
        return os.posix_spawn(sys.executable, command, os.environ, file_actions=actions)
