"""The GPUs of this machine: how many jobs run at once, and which GPU a slot has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from grape_bench.track.environment import core_count

_DRIVER = Path("/proc/driver/nvidia/gpus")


def default_slots() -> int:
    """One per visible GPU, or per core where there is none."""
    return _visible_gpus() or core_count()


def _visible_gpus() -> int:
    present = len(list(_DRIVER.iterdir())) if _DRIVER.is_dir() else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not present or visible is None:
        return present
    return len([name for name in visible.split(",") if name.strip() not in ("", "-1")])


def gpu_of_slot(slot: int, count: int, environment: Mapping[str, str]) -> str | None:
    """The GPU of a slot under the name that CUDA_VISIBLE_DEVICES has for it (a number, a UUID, a MIG instance).

    `count` of them are visible; more slots than that share them evenly. None where there is none.
    """
    if count == 0:
        return None
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    names = [str(index) for index in range(count)] if visible is None else visible.split(",")[:count]
    return names[slot % count].strip()
