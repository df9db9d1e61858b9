"""Slots on GPUs, with numbers of them that this machine need not have."""

from __future__ import annotations

from pathlib import Path

import pytest

from grape_bench.execute.gpus import gpu_of_slot
from grape_bench.execute.sweep import run_sweep
from tests.execute.sweeps import Watch, request


@pytest.mark.parametrize(
    ("visible", "count", "slots"),
    [
        (None, 2, ["0", "1", "0", "1"]),
        ("3,5", 2, ["3", "5", "3", "5"]),
        ("3, 5,-1,7", 2, ["3", "5", "3", "5"]),  # CUDA ends the list at what is not a device
        ("GPU-8f1c0a52,GPU-0b6dd7fe", 2, ["GPU-8f1c0a52", "GPU-0b6dd7fe", "GPU-8f1c0a52", "GPU-0b6dd7fe"]),
        ("MIG-1b2c", 1, ["MIG-1b2c"] * 4),
        ("", 0, [None] * 4),
        (None, 0, [None] * 4),
    ],
)
def test_slots_share_the_visible_gpus_evenly(visible: str | None, count: int, slots: list[str | None]) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert [gpu_of_slot(slot, count, environment) for slot in range(4)] == slots


def devices(tmp_path: Path, **more: int | None) -> list[str | None]:
    """What CUDA_VISIBLE_DEVICES was in each of six jobs that wait for each other's start."""
    acts = [{"act": "device", "started": str(tmp_path / "started"), "wait_for": more["slots"] or 2}] * 6
    return [record.data.more["visible"] for record in run_sweep(request(tmp_path, acts, **more), Watch(), None)]


@pytest.mark.parametrize(("slots", "each"), [(None, 1), (4, 2)])
def test_each_job_sees_one_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slots: int | None, each: int) -> None:
    monkeypatch.setenv("FAKE_GPUS", "2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aaaa,GPU-bbbb")
    seen = devices(tmp_path, slots=slots)
    assert sorted(seen[: 2 * each]) == ["GPU-aaaa"] * each + ["GPU-bbbb"] * each
    assert set(seen) == {"GPU-aaaa", "GPU-bbbb"}


def test_without_a_gpu_the_variable_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_GPUS", "0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices(tmp_path, slots=1) == [""] * 6
