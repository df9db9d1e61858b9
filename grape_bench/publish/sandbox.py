"""Run someone else's code with no network, an empty environment, and one writable folder.

bubblewrap isolates it: namespaces of the Linux kernel for files, processes and network. Time, memory and disk are
watched from outside, and a command that exceeds a limit is killed with everything that it started.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import grape_bench
from grape_bench.execute.process_tree import end, held_bytes, tree

TICK_S = 0.2
SYSTEM = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/alternatives",
)
"""The system paths that Python and its libraries read. Nothing from /home, /root, /etc/passwd or /var."""


@dataclass(frozen=True)
class Limits:
    """The most that a command may take: seconds of wall-clock, bytes of memory, bytes in its folder."""

    seconds: float
    memory: int
    disk: int


@dataclass(frozen=True)
class Sandbox:
    """A sandbox for one command. It can write only to `folder`, its home, and besides this read only `readable`.

    With `confined=False` the command may read and write all that the user may. The environment and limits still apply.
    """

    folder: Path
    limits: Limits
    readable: Sequence[Path] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    confined: bool = True

    def python(self, *arguments: str) -> str:
        """Run this Python with `arguments`. Returns why it failed, or "" if it did not.

        The output of the command goes to `output.txt` in the folder.
        """
        command = [sys.executable, "-P", *arguments]
        if self.confined:
            command = [*_bubblewrap(self.folder, self.readable), *command]
        with (self.folder / "output.txt").open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._variables(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            return self._watch(process)
        finally:
            for member in tree(process.pid):
                end(member)
            end(process.pid)
            process.wait()

    def _variables(self) -> dict[str, str]:
        """The whole environment of the command. It has nothing from the caller's own."""
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(_package().parent),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.environment,
        }

    def _watch(self, process: subprocess.Popen[bytes]) -> str:
        started = time.monotonic()
        while True:
            try:
                code = process.wait(TICK_S)
            except subprocess.TimeoutExpired:
                pass
            else:
                return "" if code == 0 else f"it ended with exit code {code}: {self._last_line()}"
            if time.monotonic() - started > self.limits.seconds:
                return f"it took more than {self.limits.seconds:.0f} s"
            if held_bytes(process.pid, self.limits.memory) > self.limits.memory:
                return f"it took more than {self.limits.memory / 2**30:.1f} GiB of memory"
            if _size(self.folder) > self.limits.disk:
                return f"it wrote more than {self.limits.disk / 2**30:.1f} GiB"

    def _last_line(self) -> str:
        with (self.folder / "output.txt").open("rb") as output:
            output.seek(max(0, output.seek(0, os.SEEK_END) - 2000))
            lines = output.read().decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "no output")


@cache
def missing() -> str:
    """Why this system cannot isolate a command, or "" if it can."""
    if sys.platform != "linux":
        return "bubblewrap runs on Linux only"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed (apt install bubblewrap)"
    probe = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not run: {error}"
    return f"bubblewrap does not run: {done.stderr.strip()}" if done.returncode else ""


def _bubblewrap(folder: Path, readable: Sequence[Path]) -> list[str]:
    """The command line that confines the command after it. A later bind overrides an earlier one."""
    shown = [*SYSTEM, sys.prefix, sys.base_prefix, _package(), *readable]
    binds = [part for path in shown for part in ("--ro-bind-try", str(path), str(path))]
    return [
        *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),
        *binds,
        *("--bind", str(folder), str(folder), "--chdir", str(folder)),
        "--",
    ]


def _package() -> Path:
    return Path(grape_bench.__file__).resolve().parent


def _size(folder: Path) -> int:
    """The bytes on disk of all files below `folder`. Files that vanish in the meantime are ignored."""
    total, folders = 0, [str(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return total
