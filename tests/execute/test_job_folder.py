"""The harness detects what a job does to its folder, and repairs it. Damaged progress files are ignored."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from grape_bench.execute.job_folder import PROGRESS, JobFolder, prepare, read_progress, repair
from grape_bench.record.typed_json import ShapeError
from tests.job.jobs import job

ROW = {"epoch": 1, "samples": 128, "seconds": 0.5, "train_loss": 2.3, "validation_accuracy": 50.0}


def test_rows_and_progress_are_written(tmp_path: Path) -> None:
    spec = job("bp", epochs=3)
    prepare(tmp_path / spec.name)
    folder = JobFolder(tmp_path / spec.name, spec)
    for epoch in (1, 2):
        folder.add({**ROW, "epoch": epoch})
    folder.check()
    assert len((folder.folder / "curve.csv").read_text().splitlines()) == 3
    assert read_progress([spec], tmp_path) == {spec.id: {**ROW, "epoch": 2, "epochs": 3}}


def test_a_change_by_something_else_is_noticed(tmp_path: Path) -> None:
    for name in ("record.json", "curve.csv", PROGRESS):
        place = tmp_path / name
        prepare(place)
        folder = JobFolder(place, job("bp"))
        folder.add(ROW)
        (place / name).write_text("{")
        with pytest.raises(ShapeError, match=f"something else wrote to {name} of this job"):
            folder.add(ROW)


def test_a_link_a_file_or_a_closed_folder_becomes_a_folder_again(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for make in (
        lambda path: path.symlink_to(elsewhere),
        lambda path: path.write_text("a file"),
        lambda path: path.mkdir(mode=0o500),
        lambda path: None,
    ):
        path = tmp_path / f"job{len(list(tmp_path.iterdir()))}"
        make(path)
        repair(path)
        assert path.is_dir() and not path.is_symlink() and path.stat().st_mode & 0o700 == 0o700
    assert elsewhere.is_dir()


def things(seed: int) -> list[bytes]:
    """Contents that a rule may write in place of a row: damaged, nested, huge, or of other types."""
    moments = random.Random(seed)
    whole = json.dumps({**ROW, "epochs": 3}).encode()
    values = ["[]", "{}", '"\\u001b"', "null", "true", "1e999", "-1e999", "NaN", "9" * 400, "9" * 5000, "0"]
    cut = [whole[: moments.randrange(len(whole))] for _ in range(30)]
    other = [json.dumps({"epoch": 0, "epochs": 1}).replace(k, v).encode() for k in "01" for v in values]
    noise = [moments.randbytes(moments.randrange(200)) for _ in range(30)]
    return [b"", b"[" * 100_000, b'{"a":' * 50_000, b" " * 10_000_000, *cut, *other, *noise]


def test_no_content_of_a_progress_file_stops_a_sweep(tmp_path: Path) -> None:
    spec = job("bp", epochs=3)
    path = tmp_path / spec.name / PROGRESS
    path.parent.mkdir()
    for content in things(seed=5):
        path.write_bytes(content)
        for row in read_progress([spec], tmp_path).values():
            assert all(abs(float(value)) < 1e18 for value in row.values()) and row["epochs"] and "epoch" in row


def test_no_kind_of_file_stops_a_sweep(tmp_path: Path) -> None:
    spec = job("bp")
    path = tmp_path / spec.name / PROGRESS
    path.parent.mkdir()
    for make in (path.mkdir, lambda: os.mkfifo(path), lambda: path.symlink_to("/dev/zero")):
        make()
        assert read_progress([spec], tmp_path) == {}
        path.rmdir() if path.is_dir() else path.unlink()
