"""Whole sweeps with jobs that die in every way: each has its record, and the others go on."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.execute.sweep import run_sweep
from grape_bench.plan.job import Job
from grape_bench.track.record import read_records
from tests.execute.sweeps import Watch, request


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet counts as ended."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_every_way_to_end_is_a_typed_record_and_costs_that_job_alone(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    acts = ["finish", "diverge", "error", "oom", "segfault", "vanish"]
    told = [{"act": act} for act in acts] + [{"act": "hang", "pids": str(pids)}, {"act": "finish", "n": 2}]
    watch = Watch()
    asked = request(tmp_path, told, time_limit_s=3)
    records = run_sweep(asked, watch, None)

    assert [record["status"] for record in records] == [
        "finished", "diverged", "crashed", "oom", "crashed", "crashed", "timeout", "finished",
    ]  # fmt: skip
    reasons = {record["job"]["model_args"]["act"]: record["reason"] for record in records}
    assert reasons["error"] == "ValueError: a rule of a user's went wrong"
    assert reasons["segfault"] == "killed by SIGSEGV"
    assert reasons["vanish"] == "the process ended with exit code 137"
    assert reasons["hang"] == "still running after 3 s"
    assert all(gone(int(pid)) for pid in pids.read_text().split()), "a helper process outlived its job"

    for record, job in zip(records, asked.plan.jobs, strict=True):
        folder = asked.folder / job.name
        assert json.loads((folder / "record.json").read_text()) == record
        assert Job.from_dict(record["job"]).id == record["id"] == job.id
        assert sorted(path.name for path in folder.iterdir()) == ["curve.csv", "record.json", "stderr.txt"]
        assert (folder / "curve.csv").read_text().splitlines()[0].startswith("epoch,samples,seconds,train_loss")
    assert "in segfault" in (asked.folder / records[4]["name"] / "stderr.txt").read_text()
    assert "Traceback" in (asked.folder / records[2]["name"] / "stderr.txt").read_text()
    assert records[0]["result"] == {"test": 91.0, "validation": 92.0, "train_loss": 0.5}
    assert records[5]["result"] is None
    assert records[5]["environment"]["hardware"]["class"].startswith("cpu:")
    assert read_records(asked.folder) == records
    assert {row["epoch"] for row in watch.progress} == {1}
    assert not watch.open


def test_a_second_run_does_the_rest_and_a_crashed_job_again(tmp_path: Path) -> None:
    count = tmp_path / "count"
    acts = [{"act": "count", "count": str(count)}, {"act": "crash-once", "been": str(tmp_path / "been")}]
    acts.append({"act": "diverge"})
    first = run_sweep(request(tmp_path, acts), Watch(), None)
    assert [record["status"] for record in first] == ["finished", "crashed", "diverged"]

    watch = Watch()
    second = run_sweep(request(tmp_path, acts), watch, None)
    assert [job.task for job in watch.pending] == ["task1"]
    assert [record["status"] for record in second] == ["finished", "finished", "diverged"]
    assert second[0] == first[0]

    run_sweep(request(tmp_path, acts, fresh=True), Watch(), None)
    assert len(count.read_text().splitlines()) == 2, "once, then not again, then --fresh"


def test_each_job_is_a_session_of_its_own_with_its_share_of_threads(tmp_path: Path) -> None:
    records = run_sweep(request(tmp_path, [{"act": "threads"}], seeds=2, slots=1), Watch(), None)
    assert len({record["data"]["pid"] for record in records}) == 2
    for record in records:
        assert record["data"]["pid"] == record["data"]["sid"]
        assert record["data"]["threads"] == len(os.sched_getaffinity(0))


def test_a_job_that_is_refused_stops_the_run_before_a_folder_is_made(tmp_path: Path) -> None:
    asked = request(tmp_path, [{"act": "finish"}, {"act": "refuse"}])
    with pytest.raises(UserError, match="task 'task1': this cannot be trained"):
        run_sweep(asked, Watch(), None)
    assert not (tmp_path / "runs").exists()


def test_records_of_other_settings_in_the_folder_are_not_mixed_in(tmp_path: Path) -> None:
    run_sweep(request(tmp_path, [{"act": "finish", "n": 1}]), Watch(), None)
    asked = request(tmp_path, [{"act": "finish", "n": 2}])
    records = run_sweep(asked, Watch(), None)
    assert len(list(asked.folder.glob("*/record.json"))) == 2
    assert read_records(asked.folder) == records


def test_interrupted_while_jobs_run_leaves_no_process_and_no_record(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    class Impatient(Watch):
        def progressed(self, progress: dict[str, dict[str, object]]) -> None:
            if pids.exists() and len(pids.read_text().split()) == 2:
                raise KeyboardInterrupt

    asked = request(tmp_path, [{"act": "hang", "pids": str(pids)}, {"act": "finish"}])
    watch = Impatient()
    with pytest.raises(KeyboardInterrupt):
        run_sweep(asked, watch, None)
    assert all(gone(int(pid)) for pid in pids.read_text().split())
    assert [record["status"] for record in read_records(asked.folder)] in (["finished"], [])
    assert not watch.open
