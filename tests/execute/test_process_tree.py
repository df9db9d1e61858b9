from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from grape_bench.execute.process_tree import children, tree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which only Linux has")


def test_only_live_children_count() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in children(os.getpid()) and child.pid in tree(os.getpid())
    assert child.pid not in children(os.getpid()) and children(child.pid) == []


def test_a_process_that_ends_while_we_read_has_no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(path: Any) -> Any:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "listdir", gone)
    monkeypatch.setattr(os, "scandir", gone)
    assert tree(os.getpid()) == [os.getpid()]
