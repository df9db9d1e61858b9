from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from grape_bench.execute.process_tree import children, tree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is known of processes elsewhere")


def test_children_are_those_that_are_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in children(os.getpid()) and child.pid in tree(os.getpid())
    assert child.pid not in children(os.getpid()) and children(child.pid) == []


def test_a_process_that_goes_while_it_is_looked_at_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(path: Any) -> Any:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "listdir", gone)
    monkeypatch.setattr(os, "scandir", gone)
    assert tree(os.getpid()) == [os.getpid()]
