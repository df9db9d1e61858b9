"""Whole sweeps with jobs that die in every way: each gets its record, and the others keep running."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from grape_bench.cli.failures import failures
from grape_bench.errors import UserError
from grape_bench.execute.resume import survey
from grape_bench.execute.sweep import _Events, run_sweep
from grape_bench.record.folder import read_records
from grape_bench.record.job import Job
from grape_bench.record.parts import Result
from grape_bench.record.status import FAILED
from tests.execute.fake_trainer import HOG_LIMIT
from tests.execute.sweeps import Watch, request
from tests.record.test_job import JOB


def gone(pid: int) -> bool:
    """Whether a process has ended. A zombie counts as ended."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


WAYS = {
    "finish": ("finished", ""),
    "diverge": ("diverged", "the loss is nan in epoch 1, step 3"),
    "error": ("crashed", "ValueError: a bug in a user's rule"),
    "oom": ("oom", "MemoryError: no room"),
    "cuda-oom": ("oom", "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB."),
    "hog": ("oom", "held 6.. MiB, more than the limit of 600 MiB"),
    "hog-elsewhere": ("oom", "held [678].. MiB, more than the limit of 600 MiB"),
    "segfault": ("crashed", "killed by SIGSEGV"),
    "vanish": ("crashed", "the process ended with exit code 137"),
    "leave": ("crashed", "the process ended with exit code 5"),
    "hang": ("timeout", "still running after 6 s"),
    "daemon": ("finished", ""),
    "daemon-hang": ("timeout", "still running after 6 s"),
}


def test_every_way_to_end_gives_a_typed_record_and_affects_only_that_job(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    watch = Watch()
    acts = [{"act": act, "pids": str(pids / act)} for act in WAYS]
    asked = request(tmp_path, acts, time_limit_s=6, memory_limit=HOG_LIMIT, slots=4)
    records = run_sweep(asked, watch, None)

    by_act = {record.job.model_args["act"]: record for record in records}
    for act, (status, reason) in WAYS.items():
        assert by_act[act].status == status, act
        assert re.fullmatch(reason, by_act[act].reason), act
    left = [int(pid) for path in pids.iterdir() for pid in path.read_text().split()]
    assert len(left) == 4 and all(map(gone, left)), "a process outlived the job that started it"

    for record, job in zip(records, asked.plan.jobs, strict=True):
        folder = asked.folder / job.name
        assert json.loads((folder / "record.json").read_text()) == record.to_dict()
        assert record.job.id == record.id == job.id
        assert sorted(path.name for path in folder.iterdir()) == ["curve.csv", "record.json", "stderr.txt"]
        assert (folder / "curve.csv").read_text().splitlines()[0].startswith("epoch,samples,seconds,train_loss")
        assert record.job.batch_size == 64, "only the user changes the batch size"
    assert by_act["finish"].result == Result(test=91.0, validation=92.0, train_loss=0.5)
    assert by_act["vanish"].result is None
    assert by_act["vanish"].environment.hardware.kind.startswith("cpu:")
    assert read_records(asked.folder) == records
    assert {row["epoch"] for row in watch.progress} <= {1, 2}
    assert not watch.open

    _check_messages(failures(records, asked.folder), asked.folder / by_act["error"].name)
    for retry, expected in (
        ((), []),
        (("oom",), ["oom", "cuda-oom", "hog", "hog-elsewhere"]),
        (("timeout",), ["hang", "daemon-hang"]),
        (FAILED, [act for act, (status, _) in WAYS.items() if status not in ("finished", "diverged")]),
    ):
        left = survey(asked.plan.jobs, asked.folder, retry)
        done, pending = left.done, left.pending
        assert [job.model_args["act"] for job in pending] == expected
        assert len(done) + len(pending) == len(records)


def _check_messages(told: list[str], folder: Path) -> None:
    """The message has the reason, both paths, the end of the output, and what to type next."""
    (error,) = (message for message in told if "ValueError" in message)
    assert error.splitlines()[:3] == [
        "crashed: task2 bp, seed 0: ValueError: a bug in a user's rule",
        f"  record: {folder}/record.json",
        f"  output: {folder}/stderr.txt, which ends with:",
    ]
    assert "    ValueError: a bug in a user's rule" in error.splitlines()
    (segfault,) = (message for message in told if "SIGSEGV" in message)
    assert "    Fatal Python error: Segmentation fault" in segfault and "in segfault" in segfault
    (cuda,) = (message for message in told if "CUDA" in message)
    assert "--set task4.batch_size=N" in cuda
    assert sum("more --memory-limit" in message for message in told) == 4


def test_a_second_run_runs_the_rest_and_retries_a_crashed_job(tmp_path: Path) -> None:
    count = tmp_path / "count"
    acts = [{"act": "count", "count": str(count)}, {"act": "crash-once", "been": str(tmp_path / "been")}]
    acts.append({"act": "diverge"})
    first = run_sweep(request(tmp_path, acts), Watch(), None)
    assert [record.status for record in first] == ["finished", "crashed", "diverged"]

    watch = Watch()
    second = run_sweep(request(tmp_path, acts), watch, None)
    assert [job.task for job in watch.pending] == ["task1"]
    assert [record.status for record in second] == ["finished", "finished", "diverged"]
    assert second[0] == first[0]

    run_sweep(request(tmp_path, acts, fresh=True), Watch(), None)
    assert len(count.read_text().splitlines()) == 2, "once, then not again, then --fresh"


def test_each_job_has_its_own_session_and_its_share_of_threads(tmp_path: Path) -> None:
    records = run_sweep(request(tmp_path, [{"act": "threads"}], seeds=2, slots=1), Watch(), None)
    assert len({record.data.more["pid"] for record in records}) == 2
    for record in records:
        assert record.data.more["pid"] == record.data.more["sid"]
        assert record.data.more["threads"] == len(os.sched_getaffinity(0))


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
    assert [record.status for record in read_records(asked.folder)] in (["finished"], [])
    assert not watch.open


def test_a_job_on_other_files_of_a_named_data_set_runs_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPE_BENCH_DATA", str(tmp_path / "data"))
    pictures = tmp_path / "data" / "mnist" / "train.parquet"
    pictures.parent.mkdir(parents=True)

    def run() -> Watch:
        asked = request(tmp_path, [{"act": "finish"}], slots=1, dataset="mnist")
        run_sweep(asked, watch := Watch(), None)
        return watch

    pictures.write_text("some")
    assert len(run().pending) == 1 and len(run().pending) == 0
    pictures.write_text("others")
    again = run()
    assert len(again.pending) == 1
    assert again.warnings == ["mnist: the files have changed, so 1 finished job runs again"]
    assert len(run().pending) == 0


def test_other_probes_leave_a_finished_job_done_and_say_how_to_take_them(tmp_path: Path) -> None:
    def run(*settings: str) -> Watch:
        asked = request(tmp_path, [{"act": "finish"}], slots=1, settings=settings)
        run_sweep(asked, watch := Watch(), None)
        return watch

    assert len(run().pending) == 1
    again = run("probes=8")
    assert again.warnings == ["1 finished job: diagnostics with other probes; to take them again, add --fresh"]
    assert not again.pending and not run().warnings


def test_a_file_that_changes_after_the_plan_stops_its_jobs(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text("def net(): ...\n")
    asked = request(tmp_path, [{"act": "finish"}], model=f"{tmp_path}/nets.py:net")
    (tmp_path / "nets.py").write_text("def net(): return 1\n")
    (record,) = run_sweep(asked, Watch(), None)
    assert record.status == "crashed" and "the files behind model_source have changed since" in record.reason


def test_the_mirror_follows_running_jobs() -> None:
    seen: list[tuple[str, object]] = []

    class Following:
        def follow(self, job: Job, row: dict[str, object]) -> None:
            seen.append((job.name, row["samples"]))

    events = _Events(Watch(), Following())  # type: ignore[arg-type]
    events.started(JOB)
    events.progressed({JOB.id: {"samples": 128}})
    assert seen == [(JOB.name, 128)]
    _Events(Watch(), None).progressed({JOB.id: {"samples": 128}})
