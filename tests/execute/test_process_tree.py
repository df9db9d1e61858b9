"""Finding processes, measuring their memory and killing them: with /proc on Linux, and with psutil elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from grape_bench.execute.process_tree import children, end_tree, held_bytes, reap, tree

assert psutil.LINUX, "psutil has asked for the system before a test pretends another one"


@pytest.fixture(params=["linux", "darwin"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to look at processes, on Linux."""
    monkeypatch.setattr(sys, "platform", request.param)
    return str(request.param)


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    """A process that prints the id of its child, which has a session of its own."""
    start = "p = s.Popen(['sleep', '60'], start_new_session=True)"
    code = f"import subprocess as s; {start}; print(p.pid, flush=True); p.wait()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_only_live_children_count(system: str) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in children(os.getpid()) and child.pid in tree(os.getpid())
    assert child.pid not in children(os.getpid()) and children(child.pid) == []


def test_a_process_that_ends_while_we_read_has_no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(path: Any) -> Any:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "listdir", gone)
    monkeypatch.setattr(os, "scandir", gone)
    assert tree(os.getpid()) == [os.getpid()]


def test_the_memory_of_a_process_and_its_children(system: str) -> None:
    held = bytearray(os.urandom(1)) * 2**26
    fast, exact = held_bytes(os.getpid(), 2**50), held_bytes(os.getpid(), 0)
    own = sum(process.memory_info().rss for process in [psutil.Process(), *psutil.Process().children(recursive=True)])
    assert fast >= exact > len(held)
    assert fast == pytest.approx(own, rel=0.2)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert 0 < held_bytes(child.pid, 2**50) < 2**28
    assert held_bytes(child.pid, 0) == 0


def test_a_tree_ends_with_its_sessions(system: str, parent: subprocess.Popen[str]) -> None:
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert tree(parent.pid) == [parent.pid, child]
    end_tree(parent.pid)
    assert parent.wait() == -signal.SIGKILL
    with pytest.raises(psutil.NoSuchProcess):
        psutil.Process(child).wait(5)
        psutil.Process(child)


@pytest.mark.parametrize("waitid", [True, False])
def test_a_child_that_ends_takes_its_group_along(waitid: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not waitid:
        monkeypatch.delattr(os, "waitid")  # macOS before Python 3.13
    code = "import subprocess as s, sys; p = s.Popen(['sleep', '60']); print(p.pid, flush=True); input(); sys.exit(3)"
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True, **pipes) as child:
        left = psutil.Process(int(child.stdout.readline()))
        assert reap(child.pid) is None
        child.stdin.write(b"\n")
        child.stdin.flush()
        while (ended := reap(child.pid)) is None:
            time.sleep(0.01)
        child.returncode = 3
    assert ended == (child.pid, 3)
    with pytest.raises(ChildProcessError):
        reap(child.pid)
    left.wait(5)
