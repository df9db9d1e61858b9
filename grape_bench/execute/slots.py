"""How many jobs run at once where nobody says, without asking torch."""

from __future__ import annotations

import os
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
