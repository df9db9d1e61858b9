"""Processes and what they have started (Linux; elsewhere nothing of this is known, and a process is its group)."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def die_with_parent() -> None:
    """Have the kernel end this process when its parent is killed."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Have the kernel make descendants of this process, whose own parents are gone, its children.

    So nothing that a job starts escapes, not even by a double fork and a session of its own.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children(process: int) -> list[int]:
    """The living children of `process`; none where it is gone."""
    found: list[int] = []
    threads = Path(f"/proc/{process}/task")
    with suppress(OSError):  # it may go while it is looked at, and so may each of its threads
        for thread in threads.iterdir():
            with suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found


def tree(process: int) -> list[int]:
    """`process`, its children, theirs, and so on."""
    found = [process]
    for member in found:  # grows meanwhile
        found += children(member)
    return found


def held_bytes(process: int, enough: int) -> int:
    """The memory of `process` and of all that it has started, read exactly only where it may be above `enough`.

    Quick is the sum of the resident sets, in which what processes share counts for each; exact is that of the
    proportional sets, in which it is shared out.
    """
    members = tree(process)
    quick = sum(_pages(member) for member in members) * os.sysconf("SC_PAGE_SIZE")
    return quick if quick <= enough else sum(_proportional_kib(member) for member in members) * 1024


def end(process: int) -> None:
    """Kill `process` and its group."""
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
