"""Every command that reads a folder, over folders that were changed at random: one message, in bounded time and memory.

A change is one of `folders.CHANGES`: bytes, values, keys, links, pipes, sparse files, nesting, sizes, names.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
AT_ONCE, ALL = 100, 1000


def fuzzed(first: int, count: int, drawn: int = 4) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.hostile.fuzz", str(first), str(count), str(drawn)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60 + 60 * count)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def troubles(folders: list[dict[str, Any]], seconds: float = float("inf")) -> list[tuple[Any, ...]]:
    """What no command may do: end in a traceback, print what a terminal obeys, take long or much memory."""
    return [
        (one["seed"], name, one["what"], found["trace"] or found["acts"] or (found["seconds"], found["mebibytes"]))
        for one in folders
        for name, found in one["found"].items()
        if found["trace"] or found["acts"] or found["seconds"] > seconds or found["mebibytes"] > 1024
    ]


def test_twelve_changed_folders() -> None:
    folders = fuzzed(0, 12, drawn=1000)
    assert len(folders) == 12 and troubles(folders) == []
    codes = {found["code"] for one in folders for found in one["found"].values()}
    assert codes == {0, 1, 2}, "some pass, some fail a check, some end in a message"


@pytest.mark.fuzz
@pytest.mark.parametrize("first", range(AT_ONCE, AT_ONCE + ALL, AT_ONCE))
def test_a_thousand_changed_folders(first: int) -> None:
    assert troubles(fuzzed(first, AT_ONCE), seconds=10) == []
