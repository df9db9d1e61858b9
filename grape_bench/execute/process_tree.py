"""Find processes and their descendants, measure their memory, and kill them.

Linux shows everything in /proc, and lets a process adopt its orphans. On other systems psutil finds the descendants,
but not an orphan that has left the process group of its job.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies. Does nothing outside Linux."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Ask the kernel to make orphaned descendants of this process its children. Does nothing outside Linux.

    Then nothing that a job starts can escape, even after a double fork into its own session.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children(process: int) -> list[int]:
    """Return the live children of `process`; an empty list if it is gone."""
    if sys.platform != "linux":
        return _children_elsewhere(process)
    found: list[int] = []
    threads = Path(f"/proc/{process}/task")
    with suppress(OSError):  # the process or one of its threads may end while we read
        for thread in threads.iterdir():
            with suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found


def tree(process: int) -> list[int]:
    """Return `process` and all its descendants."""
    found = [process]
    for member in found:  # the list grows during the loop
        found += children(member)
    return found


def held_bytes(process: int, enough: int) -> int:
    """Return the memory of `process` and its descendants, exact only where it may exceed `enough`.

    The sum of the resident sets is fast, but counts shared memory once per process. The sum of the proportional sets
    divides shared memory among the processes (Linux), or leaves it out (elsewhere). It is exact and slow.
    """
    members = tree(process)
    fast = sum(map(_resident, members))
    return fast if fast <= enough else sum(map(_proportional, members))


def end(process: int) -> None:
    """Kill `process` and its process group."""
    for kill in (os.kill, os.killpg):
        with suppress(ProcessLookupError, PermissionError):
            kill(process, signal.SIGKILL)


def end_tree(process: int) -> None:
    """Kill `process`, its descendants, and their process groups."""
    for member in tree(process):
        end(member)


def reap(process: int = -1) -> tuple[int, int] | None:
    """Return the id and the exit code (negative: a signal) of the child `process`, or of any child, if it has ended.

    Returns None otherwise. Kills what the child left behind in its process group. Raises ChildProcessError if there is
    no child.
    """
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        pid, status = os.waitpid(process, os.WNOHANG)
        if pid:
            end(pid)
        return (pid, os.waitstatus_to_exitcode(status)) if pid else None
    which, number = (os.P_ALL, 0) if process == -1 else (os.P_PID, process)
    # WNOWAIT: until we wait for the child, no other process can get its id, so killing its group is safe.
    ended = os.waitid(which, number, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if ended is None:
        return None
    end(ended.si_pid)
    _, status = os.waitpid(ended.si_pid, 0)
    return ended.si_pid, os.waitstatus_to_exitcode(status)


def _resident(process: int) -> int:
    """The bytes of the resident set; 0 if the process is gone."""
    if sys.platform != "linux":
        return _bytes_elsewhere(process, "rss")
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _proportional(process: int) -> int:
    """The bytes of the proportional set (Linux) or of the unique set; 0 if the process is gone."""
    if sys.platform != "linux":
        return _bytes_elsewhere(process, "uss")
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _children_elsewhere(process: int) -> list[int]:
    import psutil

    with suppress(psutil.Error):
        return [child.pid for child in psutil.Process(process).children()]
    return []


def _bytes_elsewhere(process: int, kind: str) -> int:
    """The `rss` or `uss` of a process, in bytes; 0 if it is gone."""
    import psutil

    with suppress(psutil.Error):
        found = psutil.Process(process)
        return int(getattr(found.memory_info() if kind == "rss" else found.memory_full_info(), kind))
    return 0


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
