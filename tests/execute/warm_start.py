"""Fork servers that start in a tenth of a second: forked from a process that has imported torch, once per session.

Most tests of a whole sweep are about the sweep, and the import of torch would be most of their time. What runs in the
forked process is the real server, with the environment, folder, path and descriptors of the test that starts it.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

# Other people's packages only: a server imports grape_bench itself, so that it sees the test's environment variables.
HEAVY = ("torch._dynamo", "torch._decomp.decompositions_for_jvp", "torch.optim", "numpy.ma")
_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from tests.execute.warm_start import serve; serve(int(sys.argv[2]))"
)


class WarmServer:
    """The part of `subprocess.Popen` that `Pool` uses, for a process that is nobody's child here."""

    returncode = None

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self._descriptor = descriptor  # readable when the process has ended
        self._ended = select.poll()
        self._ended.register(descriptor, select.POLLIN)

    def wait(self, timeout: float | None = None) -> None:
        if not self._ended.poll(None if timeout is None else 1000 * timeout):
            raise subprocess.TimeoutExpired("warm server", timeout or 0)

    def kill(self) -> None:
        signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def __del__(self) -> None:
        os.close(self._descriptor)


class WarmStart:
    """A process with heavy imports, from which fork servers are forked. It ends when this object is closed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start_server(self, channel: int, preload: Sequence[str], log: int) -> WarmServer:
        """Stand in for `grape_bench.execute.pool.start_server`."""
        if self._process is None:
            self._process = self._start()
        what = {
            "path": sys.path,
            "folder": str(Path.cwd()),
            "environment": {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            "preload": list(preload),
        }
        socket.send_fds(self._channel, [json.dumps(what).encode()], [channel, log])
        answer, (descriptor,), _, _ = socket.recv_fds(self._channel, 100, 1)
        return WarmServer(int(answer), descriptor)

    def _start(self) -> subprocess.Popen[bytes]:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            return subprocess.Popen(
                [sys.executable, "-c", _BOOT, json.dumps(sys.path), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
            )

    def close(self) -> None:
        if self._process is not None:
            self._channel.close()
            self._process.wait()


def serve(descriptor: int) -> None:
    """Fork a fork server per request, and answer with its process id and a descriptor of the process."""
    channel = socket.socket(fileno=descriptor)
    for module in HEAVY:
        import_module(module)
    signal.signal(signal.SIGCHLD, _reap)
    gc.collect()
    gc.freeze()
    while True:
        content, descriptors, _, _ = socket.recv_fds(channel, 1 << 20, 2)
        if not content:
            return
        pid = os.fork()
        if pid == 0:
            channel.close()
            _become_server(json.loads(content), *descriptors)
        process = os.pidfd_open(pid)
        socket.send_fds(channel, [str(pid).encode()], [process])
        for one in (*descriptors, process):
            os.close(one)


def _reap(*_: object) -> None:
    """Leave no zombies. Unlike with SIG_IGN, their time counts as this process's."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become_server(what: dict[str, Any], channel: int, log: int) -> NoReturn:
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for standard in (1, 2):
            os.dup2(log, standard)
        os.close(log)
        os.chdir(what["folder"])
        os.environ.clear()
        os.environ.update(what["environment"])
        sys.path[:] = what["path"]
        import_module("grape_bench.execute.forkserver").main(channel, what["preload"])
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
