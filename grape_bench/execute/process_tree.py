"""Processes and their descendants. Complete on Linux; elsewhere only a process and its group are known."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Ask the kernel to make orphaned descendants of this process its children.

    Then nothing that a job starts can escape, even after a double fork into its own session.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children(process: int) -> list[int]:
    """Return the live children of `process`; an empty list if it is gone."""
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
    divides shared memory among the processes. It is exact and slow.
    """
    members = tree(process)
    fast = sum(_pages(member) for member in members) * os.sysconf("SC_PAGE_SIZE")
    return fast if fast <= enough else sum(_proportional_kib(member) for member in members) * 1024


def end(process: int) -> None:
    """Kill `process` and its process group."""
    for kill in (os.kill, os.killpg):
        with suppress(ProcessLookupError, PermissionError):
            kill(process, signal.SIGKILL)


def _pages(process: int) -> int:
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return 0


def _proportional_kib(process: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
