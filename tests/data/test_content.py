"""The hash of a folder of data follows its content, wherever the folder is."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from grape_bench.data import content
from grape_bench.data.content import content_hash


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    for name in ("train/cat/1.png", "train/dog/1.png", "notes.txt"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(name)
    return made


def swap(folder: Path) -> None:
    one, other = folder / "train/cat/1.png", folder / "train/dog/1.png"
    one.rename(folder / "free"), other.rename(one), (folder / "free").rename(other)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file is edited": lambda folder: (folder / "notes.txt").write_text("other"),
    "a file is added": lambda folder: (folder / "more.txt").write_text(""),
    "a file is deleted": lambda folder: (folder / "notes.txt").unlink(),
    "a file is renamed": lambda folder: (folder / "notes.txt").rename(folder / "note.txt"),
    "two pictures are swapped": swap,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_changes_the_hash(folder: Path, change: Callable[[Path], object]) -> None:
    before = content_hash(folder)
    change(folder)
    assert content_hash(folder) != before


def test_the_hash_is_that_of_the_content(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere" / "copy"))
    (copy / ".DS_Store").write_text("hidden")
    (copy / "train" / "loop").symlink_to(copy, target_is_directory=True)
    assert content_hash(copy) == content_hash(folder)
    assert content_hash(folder / "notes.txt") == content_hash(copy / "notes.txt") != content_hash(folder)


def test_files_are_read_once_until_they_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    hashed = content._hash
    monkeypatch.setattr(content, "_hash", lambda path, files: (read.append(path), hashed(path, files))[1])
    settled = time.time() - 60
    for path in folder.rglob("*.*"):
        os.utime(path, (settled, settled))
    assert content_hash(folder) == content_hash(folder) and len(read) == 1
    os.utime(folder / "notes.txt", (settled + 1, settled + 1))
    content_hash(folder)
    assert len(read) == 2
