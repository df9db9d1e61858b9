"""The worker alone, as another machine would run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.execute.worker import failure
from grape_bench.record.environment import INSTALLED, Git
from grape_bench.record.manifest import Manifest, read_manifest
from grape_bench.record.record import Record, read_record
from grape_bench.record.status import Status
from tests.execute.sweeps import TRAINER, request


def run_worker(folder: Path, act: str) -> tuple[int, Record, Path]:
    job = request(folder, [{"act": act}]).plan.jobs[0]
    manifest = Manifest("acts", "1.0", INSTALLED, [job]).write(folder)
    command = [sys.executable, "-m", "grape_bench.execute.worker", str(manifest), job.id, "--trainer", TRAINER]
    code = subprocess.run(command).returncode
    return code, read_record(folder / job.name / "record.json"), folder / job.name


def test_a_job_that_finishes_removes_what_killed_processes_have_left(tmp_path: Path) -> None:
    job = request(tmp_path, [{"act": "finish"}]).plan.jobs[0]
    left = (
        ".123.record.json",
        ".123.progress.json",
        "progress.json",
        "checkpoint-000000007.pt",
        ".123.checkpoint-8.pt",
    )
    (tmp_path / job.name).mkdir()
    for name in left:
        (tmp_path / job.name / name).touch()
    code, record, folder = run_worker(tmp_path, "finish")
    assert (code, record.status) == (0, "finished")
    # Libraries may print more when the process exits: PyTorch 2.15's Triton reports leaks there.
    assert (folder / "stderr.txt").read_text().splitlines()[0] == "started finish"
    assert sorted(path.name for path in folder.iterdir()) == ["curve.csv", "record.json", "stderr.txt"]


def test_a_job_that_raises_leaves_record_trace_and_exit_code(tmp_path: Path) -> None:
    code, record, folder = run_worker(tmp_path, "error")
    assert (code, record.status) == (1, "crashed")
    assert "ValueError: a bug in a user's rule" in (folder / "stderr.txt").read_text()


def test_a_manifest_is_the_same_when_read_again(tmp_path: Path) -> None:
    jobs = request(tmp_path, [{"act": "finish"}], seeds=2).plan.jobs
    manifest = Manifest("acts", "1.0", Git(commit="0f", dirty=False), jobs)
    assert read_manifest(manifest.write(tmp_path)) == manifest
    with pytest.raises(UserError, match="no job 'other'"):
        manifest.job("other")
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(UserError, match="damaged: it is not JSON"):
        read_manifest(tmp_path / "manifest.json")


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
        "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_every_way_to_be_out_of_memory_is_oom(text):
    assert failure(RuntimeError(text))["status"] == Status.OOM


@pytest.mark.parametrize("act", ["chdir", "fork"])
def test_a_job_that_moves_or_forks_is_recorded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    Path("runs").mkdir()
    code, record, folder = run_worker(Path("runs"), act)
    assert (code, record.status) == (0, "finished")
    folder = tmp_path / folder
    epochs = [line.partition(",")[0] for line in (folder / "curve.csv").read_text().splitlines()[1:]]
    assert epochs == [str(epoch) for epoch in range(1, record.job.epochs + 1)]
