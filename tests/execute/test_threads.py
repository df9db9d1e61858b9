"""Jobs of one folder keep their number of threads, and a command that would change it says so."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.execute.sweep import run_sweep
from grape_bench.execute.threads import kept_threads
from tests.execute.sweeps import Watch, request

CORES = 4


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grape_bench.execute.local.core_count", lambda: CORES)


def threads(folder: Path, watch: Watch, *, seeds: int = 1, slots: int = 2, asked: int | None = None) -> list[int]:
    sweep = request(folder, [{"act": "finish"}], seeds=seeds, slots=slots)
    records = run_sweep(replace(sweep, options=replace(sweep.options, threads=asked)), watch, None)
    return [record.environment.hardware.threads for record in records]


def test_other_slots_keep_the_threads_of_finished_jobs(tmp_path: Path) -> None:
    watch = Watch()
    assert threads(tmp_path, watch) == [2] and watch.warnings == []
    assert threads(tmp_path, watch, seeds=2, slots=1) == [2, 2]
    assert watch.warnings == ["each job gets 2 threads, as the finished jobs in this folder had (1 slot would give 4)"]


def test_other_threads_are_refused_and_fresh_jobs_may_have_them(tmp_path: Path) -> None:
    assert threads(tmp_path, Watch(), asked=1) == [1]
    with pytest.raises(UserError, match="finished jobs in this folder had 1 thread each") as error:
        threads(tmp_path, Watch(), seeds=2, asked=3)
    assert error.value.where == "--threads 3"
    assert len(list(tmp_path.glob("runs/acts/*/record.json"))) == 1
    shutil.rmtree(tmp_path / "runs")
    assert threads(tmp_path, Watch(), asked=3) == [3]


def test_a_gpu_and_unfinished_jobs_keep_nothing(tmp_path: Path) -> None:
    threads(tmp_path, Watch())
    (path,) = tmp_path.glob("runs/acts/*/record.json")
    content = json.loads(path.read_text())
    assert kept_threads(path.parents[1]) == {1: 2}
    content["environment"]["hardware"]["class"] = "cuda:a GPU"
    path.write_text(json.dumps(content))
    assert kept_threads(path.parents[1]) == {}
