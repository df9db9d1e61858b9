"""A child's messages and output arrive, and its end is noticed, whatever it does and however it starts."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from grape_bench.execute.child import Child, Message, Send
from grape_bench.execute.start import START
from grape_bench.record.typed_json import ShapeError


@pytest.fixture(params=["fork", "spawn"])
def start(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to start a child."""
    monkeypatch.setenv(START, request.param)
    return str(request.param)


def ran(work: Callable[[Any, Send], None], folder: Path, argument: Any = None) -> tuple[list[Message], bytes, int]:
    """The messages, the output and the exit code of a child that does `work`."""
    printed: list[bytes] = []
    with closing(Child(f"{__name__}:{work.__name__}", argument, printed.append, folder)) as child:
        messages = list(child.messages())
        code = child.code()
    return messages, b"".join(printed), code


def print_send_and_exit(argument: Any, send: Send) -> None:
    os.write(1, b"hello\n")
    send("row", {"loss": float("inf"), "epoch": 1})
    send("end", argument)
    sys.exit(3)


def test_messages_output_and_exit_code(start: str, tmp_path: Path) -> None:
    messages, printed, code = ran(print_send_and_exit, tmp_path, [1, "two", None])
    assert messages == [("row", {"loss": float("inf"), "epoch": 1}), ("end", [1, "two", None])]
    assert printed.startswith(b"hello\n") and code == 3
    assert not list(tmp_path.iterdir())


def send_the_name_of_the_output(_: Any, send: Send) -> None:
    send("name", str(Path("/proc/self/fd/2").readlink()))


def test_the_name_of_the_output_lies_in_the_folder(start: str, tmp_path: Path) -> None:
    messages, _, _ = ran(send_the_name_of_the_output, tmp_path)
    assert Path(messages[0][1]).parent == tmp_path


def fork_and_send(_: Any, send: Send) -> None:
    os.fork()
    send("row", 1)


def test_a_copy_of_the_child_sends_nothing(start: str, tmp_path: Path) -> None:
    assert ran(fork_and_send, tmp_path)[0] == [("row", 1)]


def leave_a_process_behind(_: Any, send: Send) -> None:
    pid = os.fork()
    if pid == 0:
        os.setsid()
        signal.pause()
    send("pid", pid)


def test_a_process_that_is_left_behind_does_not_keep_the_parent_waiting(start: str, tmp_path: Path) -> None:
    messages, _, code = ran(leave_a_process_behind, tmp_path)
    os.kill(messages[0][1], signal.SIGKILL)
    assert code == 0


def send_the_path_and_the_open_files(_: Any, send: Send) -> None:
    send("path", sys.path)
    send("files", [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()])


def test_a_fresh_interpreter_has_the_path_of_its_parent_and_none_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(START, "spawn")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("/somewhere")
    for name in ("json.py", "tempfile.py"):  # in the current folder, these must not shadow the library's
        Path(name).write_text("raise RuntimeError('the wrong module')\n")
    (tmp_path / "home").mkdir()
    with Path("held.txt").open("w"):
        messages, printed, code = ran(send_the_path_and_the_open_files, tmp_path / "home")
    assert (printed, code) == (b"", 0)
    found = dict(messages)
    assert found["path"] == sys.path
    assert len(found["files"]) >= 4 and str(tmp_path / "held.txt") not in found["files"]


def send_what_is_no_message(line: str, send: Send) -> None:
    from grape_bench.execute import child

    child._encode = lambda value: line  # type: ignore[assignment, misc]
    send("row", 1)


@pytest.mark.parametrize("line", ["nonsense", "[1]", "[" * 100_000, "\0"])
def test_what_is_no_message_is_an_error(line: str, tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="no message"):
        ran(send_what_is_no_message, tmp_path, line)
