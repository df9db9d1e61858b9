"""A child's messages arrive, its output is passed on, and its end is known, whatever it does."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from grape_bench.execute.child import Child, Message, Send
from grape_bench.record.typed_json import ShapeError


def ran(work: Callable[[Send], None], folder: Path) -> tuple[list[Message], bytes, int]:
    """The messages, the output and the exit code of a child that does `work`."""
    printed: list[bytes] = []
    with closing(Child(work, printed.append, folder)) as child:
        messages = list(child.messages())
        code = child.code()
    return messages, b"".join(printed), code


def test_messages_output_and_exit_code(tmp_path: Path) -> None:
    def work(send: Send) -> None:
        os.write(1, b"hello\n")
        send("row", {"loss": float("inf"), "epoch": 1})
        send("end", [1, "two", None])
        sys.exit(3)

    messages, printed, code = ran(work, tmp_path)
    assert messages == [("row", {"loss": float("inf"), "epoch": 1}), ("end", [1, "two", None])]
    assert printed.startswith(b"hello\n") and code == 3
    assert not list(tmp_path.iterdir())


def test_the_name_of_the_output_lies_in_the_folder(tmp_path: Path) -> None:
    messages, _, _ = ran(lambda send: send("name", str(Path("/proc/self/fd/2").readlink())), tmp_path)
    assert Path(messages[0][1]).parent == tmp_path


def test_a_copy_of_the_child_sends_nothing(tmp_path: Path) -> None:
    def work(send: Send) -> None:
        os.fork()
        send("row", 1)

    assert ran(work, tmp_path)[0] == [("row", 1)]


def test_a_process_that_is_left_behind_does_not_keep_the_parent_waiting(tmp_path: Path) -> None:
    def work(send: Send) -> None:
        pid = os.fork()
        if pid == 0:
            os.setsid()
            signal.pause()
        send("pid", pid)

    messages, _, code = ran(work, tmp_path)
    os.kill(messages[0][1], signal.SIGKILL)
    assert code == 0


@pytest.mark.parametrize("line", ["nonsense", "[1]", "[" * 100_000, "\0"])
def test_what_is_no_message_is_an_error(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grape_bench.execute.child._encode", lambda value: line)
    with pytest.raises(ShapeError, match="no message"):
        ran(lambda send: send("row", 1), tmp_path)
