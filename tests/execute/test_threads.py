"""Jobs of one folder keep their number of threads, and a command that would change it says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.execute.sweep import run_sweep
from grape_bench.execute.threads import kept_threads
from grape_bench.record.record import Record, write_record
from tests.execute.sweeps import Watch, request
from tests.track.records import record


def threads(folder: Path, watch: Watch, *, seeds: int = 1, slots: int = 2, asked: int | None = None) -> list[int]:
    sweep = request(folder, [{"act": "finish"}], seeds=seeds, slots=slots)
    records = run_sweep(replace(sweep, options=replace(sweep.options, threads=asked)), watch, None)
    return [record.environment.hardware.threads for record in records]


def test_other_slots_keep_the_threads_of_finished_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grape_bench.execute.local.core_count", lambda: 4)
    watch = Watch()
    assert threads(tmp_path, watch) == [2] and watch.warnings == []
    assert threads(tmp_path, watch, seeds=2, slots=1) == [2, 2]
    assert watch.warnings == ["each job gets 2 threads, as the finished jobs in this folder had (1 slot would give 4)"]
    with pytest.raises(UserError, match="finished jobs in this folder had 2 threads each") as error:
        threads(tmp_path, watch, seeds=3, asked=3)
    assert error.value.where == "--threads 3"
    assert len(list(tmp_path.glob("runs/acts/*/record.json"))) == 2


def test_threads_that_a_command_names(tmp_path: Path) -> None:
    assert threads(tmp_path, Watch(), asked=3) == [3]


def on(kind: str, count: int, **outcome: str | None) -> Record:
    """A record of a job on hardware of this kind, with `count` threads."""
    found = record(**outcome)
    hardware = replace(found.environment.hardware, kind=kind, threads=count)
    return replace(found, environment=replace(found.environment, hardware=hardware))


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        (on("cpu:AMD EPYCx2", 2), {1: 2}),
        (on("cuda:a GPU", 2), {}),
        (on("cpu:AMD EPYCx2", 2, status="crashed", reason="killed", result=None), {}),
    ],
    ids=["finished on a CPU", "finished on a GPU", "crashed"],
)
def test_only_finished_jobs_on_a_cpu_set_the_number(tmp_path: Path, found: Record, kept: dict[int, int]) -> None:
    (tmp_path / found.name).mkdir()
    write_record(tmp_path / found.name, found)
    assert kept_threads(tmp_path) == kept
