"""Slots on GPUs, with stand-ins for GPUs that this machine does not have."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.execute.executor import Options
from grape_bench.execute.gpus import default_slots, device_note, slot_gpus
from grape_bench.execute.local import Local
from grape_bench.execute.sweep import run_sweep
from grape_bench.record.environment import core_count
from tests.execute.sweeps import Watch, request
from tests.record.test_job import JOB


@pytest.mark.parametrize(
    ("visible", "count", "names"),
    [
        (None, 2, ["0", "1"]),
        ("3,5", 2, ["3", "5"]),
        ("3, 5,-1,7", 2, ["3", "5"]),  # CUDA ignores what comes after an invalid name
        ("GPU-8f1c0a52,GPU-0b6dd7fe", 2, ["GPU-8f1c0a52", "GPU-0b6dd7fe"]),
        ("MIG-1b2c", 1, ["MIG-1b2c"]),
        ("MIG-1b2c, MIG-3d4e,MIG-5f60", 1, ["MIG-1b2c", "MIG-3d4e", "MIG-5f60"]),  # CUDA shows a process only one
        ("MIG-1b2c,MIG-3d4e,0,MIG-5f60", 1, ["MIG-1b2c", "MIG-3d4e"]),
        ("MIG-1b2c,MIG-3d4e", 0, []),  # no driver
        ("", 0, []),
        (None, 0, []),
    ],
)
def test_the_gpus_that_slots_share(visible: str | None, count: int, names: list[str]) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert slot_gpus(count, environment) == names


@pytest.mark.parametrize(
    ("visible", "slots"), [(None, 2), ("1", 1), ("MIG-1b2c,MIG-3d4e,MIG-5f60", 3), ("-1", None), ("", None)]
)
def test_default_slots_without_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, slots: int | None
) -> None:
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("grape_bench.execute.gpus._DRIVER", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert default_slots() == (slots or core_count())


def test_a_sandbox_that_hides_the_driver_still_shows_the_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grape_bench.execute.gpus.core_count", lambda: 64)
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.setattr("grape_bench.execute.gpus._DRIVER", tmp_path / "missing")
    monkeypatch.setattr("grape_bench.execute.gpus._DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert default_slots() == 2


def seen(tmp_path: Path, slots: int | None) -> list[tuple[str | None, str | None]]:
    """CUDA_VISIBLE_DEVICES and GRAPE_BENCH_GPU_JOBS in each of six jobs, which fill all slots before they end."""
    acts = [{"act": "device", "started": str(tmp_path / "started"), "wait_for": slots or 2}] * 6
    more = [record.data.more for record in run_sweep(request(tmp_path, acts, slots=slots), Watch(), None)]
    return [(each["visible"], each["gpu_jobs"]) for each in more]


@pytest.mark.parametrize(("slots", "each"), [(None, 1), (4, 2)])
@pytest.mark.parametrize(("count", "first", "second"), [("2", "GPU-aaaa", "GPU-bbbb"), ("1", "MIG-aaaa", "MIG-bbbb")])
def test_each_job_sees_one_gpu_and_knows_how_many_jobs_share_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slots: int | None, each: int, count: str, first: str, second: str
) -> None:
    monkeypatch.setenv("FAKE_GPUS", count)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"{first},{second}")
    found = seen(tmp_path, slots)
    assert sorted(found[: 2 * each]) == [(first, str(each))] * each + [(second, str(each))] * each
    assert set(found) == {(first, str(each)), (second, str(each))}


def local(processes: int) -> Local:
    return Local(Options(), [replace(JOB, nproc=processes)])


@pytest.mark.parametrize(
    ("visible", "count", "message"),
    [
        ("MIG-aaaa,MIG-bbbb", 1, "--nproc: a job of 2 processes cannot run on MIG instances"),
        ("0", 1, "--nproc: each job has 2 processes, but only 1 GPUs are visible"),
    ],
)
def test_a_job_of_several_processes_needs_a_gpu_per_process(
    monkeypatch: pytest.MonkeyPatch, visible: str, count: int, message: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr("grape_bench.execute.local.preflight", lambda *_: count)
    with local(processes=2) as executor, pytest.raises(UserError, match=message):
        executor.check([])
    with local(processes=1) as executor:
        executor.check([])
        assert executor.slots() == len(visible.split(","))


def test_without_a_gpu_the_variable_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_GPUS", "0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert seen(tmp_path, slots=1) == [("", None)] * 6


@pytest.mark.parametrize(("platform", "note"), [("linux", ""), ("darwin", "this Mac's GPU is not used, because")])
def test_a_run_on_a_mac_says_that_it_uses_the_cpu(platform: str, note: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert device_note().startswith(note) and bool(device_note()) == bool(note)
