"""Records are complete or absent, and only the requested ones are read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.record import write
from grape_bench.record.folder import read_records
from grape_bench.record.manifest import Manifest
from grape_bench.record.record import read_record, write_record
from tests.track.records import on_disk, record


def test_a_record_holds_its_job_and_what_was_measured(tmp_path: Path) -> None:
    written = on_disk(tmp_path, record())
    assert read_records(tmp_path) == [written]
    assert written.job.optimizer == {"name": "adamw", "lr": 1e-3}
    assert (written.to_dict()["schema"], written.task, written.rule, written.seed) == (3, "first", "dfa", 0)


def test_what_a_dead_job_could_not_measure_is_null() -> None:
    written = record(status="crashed", reason="killed", result=None, time=None)
    assert (written.result, written.time, written.reason) == (None, None, "killed")


def test_an_unknown_status_is_a_bug() -> None:
    with pytest.raises(ValueError, match="'done' is not a valid Status"):
        record(status="done")


def test_a_failed_write_leaves_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = on_disk(tmp_path, record())
    folder = tmp_path / written.name

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_record(folder, record(status="diverged"))
    assert read_record(folder / "record.json") == written
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["curve.csv", "diagnostics.csv", "record.json", "stderr.txt"]


def test_with_a_manifest_only_its_jobs_count(tmp_path: Path) -> None:
    written = on_disk(tmp_path, record())
    Manifest("small", "1.0", written.environment.git, [written.job]).write(tmp_path)
    assert read_records(tmp_path) == [written]
    Manifest("small", "1.0", written.environment.git, [replace(written.job, seed=1)]).write(tmp_path)
    assert read_records(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "damaged: it is not JSON"), ('{"schema": 99}', "schema 99 is unknown to this version")],
)
def test_a_file_that_is_not_a_record_is_a_user_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_record(path)
