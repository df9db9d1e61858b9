"""Anything but a regular file of a usual size gives one message, immediately."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.record import regular_file
from grape_bench.record.folder import read_folder
from grape_bench.record.record import read_record
from grape_bench.record.regular_file import check_total, entries, is_name, read_bytes, read_text
from grape_bench.record.typed_json import ShapeError


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "not a regular file"),
    "folder": (Path.mkdir, "not a regular file"),
    "socket": (make_socket, "not a regular file"),
    "link to a device": (lambda path: path.symlink_to("/dev/zero"), "it is a link"),
    "link to a file": (lambda path: path.symlink_to("/etc/passwd"), "it is a link"),
    "link to itself": (lambda path: path.symlink_to(path.name), "it is a link"),
    "ten sparse gigabytes": (lambda path: (path.touch(), os.truncate(path, 10 * 2**30)), "larger than 1 MiB"),
    "empty": (Path.touch, "it is empty"),
    "NUL bytes": (lambda path: path.write_bytes(b"a\0b"), "NUL bytes"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_only_regular_files_are_read(kind: str, tmp_path: Path) -> None:
    make, message = HOSTILE[kind]
    path = tmp_path / "record.json"
    make(path)
    with pytest.raises(ShapeError, match=message):
        read_text(path, 2**20)
    with pytest.raises(UserError, match=message):
        read_record(path)


def test_a_device_is_not_read_even_if_the_user_names_it() -> None:
    with pytest.raises(ShapeError, match="not a regular file"):
        read_bytes(Path("/dev/zero"), 2**20, follow=True)


def test_a_file_that_the_user_names_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text("\ufeffa = 1", encoding="utf-8")
    (tmp_path / "link").symlink_to("suite.toml")
    assert read_text(tmp_path / "link", 100, follow=True) == "a = 1", "without the byte order mark"


def test_a_folder_has_a_limit_of_files_depth_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "/".join("a" * 14)
    deep.mkdir(parents=True)
    with pytest.raises(ShapeError, match="more than 12 folders deep"):
        list(entries(tmp_path))
    monkeypatch.setattr(regular_file, "MOST_FILES", 3)
    with pytest.raises(ShapeError, match="more than 3 files"):
        list(entries(tmp_path))
    (tmp_path / "x").write_bytes(b"12")
    with pytest.raises(UserError, match="over the limit"):
        check_total([tmp_path / "x"], tmp_path, 1)


def test_links_are_listed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert [name for name, _ in entries(tmp_path)] == ["loop"]


def test_too_many_records_without_a_manifest_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grape_bench.record.folder.MOST_FILES", 10)
    for number in range(11):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "record.json").touch()
    with pytest.raises(UserError, match="more than 10 jobs"):
        read_folder(tmp_path)


@pytest.mark.parametrize("text", ["", ".", "..", "a/b", "/etc", "../x", "a\0b", "x" * 256, "é" * 128])
def test_a_path_is_no_name(text: str) -> None:
    assert not is_name(text)
    assert is_name("digits-mlp.dfa+anchor.s0.1a2b3c4d")
