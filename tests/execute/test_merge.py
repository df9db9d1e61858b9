"""Shards merge into one folder, or are refused before anything is written."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grape_bench.errors import UserError
from grape_bench.execute.merge import merge
from grape_bench.execute.resume import survey
from grape_bench.plan.shard import Shard
from grape_bench.record.environment import Git
from grape_bench.record.folder import read_records
from grape_bench.record.job import Job
from grape_bench.record.manifest import Manifest, read_manifest
from grape_bench.record.record import write_record
from tests.record.test_job import JOB
from tests.track.records import record

JOBS = [replace(JOB, seed=seed, rule=rule) for seed in range(3) for rule in ("bp", "dfa")]
GIT = Git(commit="0f", dirty=False)


def shard(folder: Path, jobs: list[Job], *, version: str = "1.0", **outcome: Any) -> Path:
    """A folder as `run` leaves it, with a record for every job."""
    folder.mkdir()
    Manifest("small", version, GIT, jobs).write(folder)
    (folder / "suite.toml").write_text("")
    for job in jobs:
        (folder / job.name).mkdir()
        (folder / job.name / "stderr.txt").write_text(folder.name)
        write_record(folder / job.name, replace(record(**outcome), job=job, id=job.id, name=job.name))
    return folder


def test_shards_give_the_whole_plan_in_its_order(tmp_path: Path) -> None:
    parts = [shard(tmp_path / f"part{i}", Shard(i, 4).of(JOBS)) for i in range(1, 5)]
    whole = tmp_path / "whole"
    assert merge(parts, whole).jobs == JOBS
    assert [record.id for record in read_records(whole)] == [job.id for job in JOBS]
    assert (whole / JOBS[1].name / "stderr.txt").read_text() == "part2"
    sweep = read_manifest(whole / "manifest.json").sweep
    before = {path: path.stat().st_mtime_ns for path in whole.glob("*/record.json")}
    merge(parts, whole)
    assert read_manifest(whole / "manifest.json").sweep == sweep
    assert {path: path.stat().st_mtime_ns for path in whole.glob("*/record.json")} == before


def test_links_and_pipes_in_a_jobs_folder_stay_behind(tmp_path: Path) -> None:
    part = shard(tmp_path / "part", JOBS[:1])
    (tmp_path / "secret.txt").write_text("a secret")
    (part / JOBS[0].name / "link.txt").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(part / JOBS[0].name / "pipe")
    merge([part], tmp_path / "whole")
    assert {path.name for path in (tmp_path / "whole" / JOBS[0].name).iterdir()} == {"record.json", "stderr.txt"}


def test_a_job_that_is_done_somewhere_is_done(tmp_path: Path) -> None:
    crashed = shard(tmp_path / "a", JOBS[:2], status="crashed", reason="killed", result=None)
    finished = shard(tmp_path / "b", JOBS[:1])
    left = survey(merge([crashed, finished], tmp_path / "c").jobs, tmp_path / "c")
    done, missing = left.done, left.pending
    assert [record.id for record in done] == [JOBS[0].id]
    assert missing == [JOBS[1]]
    later = shard(tmp_path / "d", JOBS[1:2])
    merge([later], tmp_path / "c")
    assert json.loads((tmp_path / "c" / JOBS[1].name / "record.json").read_text())["status"] == "finished"


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"jobs": JOBS[:1], "version": "2.0"}, "this folder holds runs of small@2.0, not small@1.0"),
        ({"jobs": [replace(JOBS[0], epochs=9)]}, "ran with different settings in .*: epochs 2 and 9"),
        ({"jobs": JOBS[:1], "result": {"test": 1.0}}, "has a different result in"),
    ],
)
def test_a_conflict_is_refused_before_anything_is_written(tmp_path: Path, other: dict[str, Any], message: str) -> None:
    folders = [shard(tmp_path / "a", JOBS), shard(tmp_path / "b", **other)]
    with pytest.raises(UserError, match=message):
        merge(folders, tmp_path / "c")
    assert not (tmp_path / "c").exists()
    with pytest.raises(UserError, match=r"gone/manifest\.json: no such folder"):
        merge([tmp_path / "gone"], tmp_path / "c")
