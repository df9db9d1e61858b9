"""The operating systems that are supported."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from grape_bench.errors import UserError

WSL = "WSL (https://learn.microsoft.com/windows/wsl)"


@dataclass(frozen=True)
class System:
    """An operating system, and how well it is supported."""

    name: str
    support: str
    supported: bool = True


def this_system() -> System:
    """The operating system of this process."""
    if sys.platform == "linux":
        return System("Linux", "supported, every test runs on it")
    if sys.platform == "darwin":
        return System("macOS", "expected to work, not tested by us")
    if sys.platform in ("win32", "cygwin"):
        return System("Windows", "not supported", supported=False)
    return System(sys.platform, "not tested by us")


def check_system() -> None:
    """Raise UserError on a system that is not supported."""
    here = this_system()
    if not here.supported:
        raise UserError(f"grape-bench does not run on {here.name}, but on Linux and macOS", hint=WSL)
