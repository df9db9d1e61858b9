"""The GPUs of this machine: how many jobs run at once, and which GPU each slot uses."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

from grape_bench.record.environment import core_count

MPS = "not used, because PyTorch's mps has no float64; jobs run on the CPU"
"""What happens to a Mac's GPU."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
_DRIVER, _DEVICES = Path("/proc/driver/nvidia/gpus"), Path("/dev")
_MIG = "MIG-"


def default_slots() -> int:
    """Return the default number of jobs at once: one per visible GPU, or per core without a GPU. Needs no torch.

    A sandbox such as gVisor may hide the driver's folder, but it shows the devices `/dev/nvidia0`, `/dev/nvidia1`, ...
    """
    present = len(list(_DRIVER.iterdir())) if _DRIVER.is_dir() else len(list(_DEVICES.glob("nvidia[0-9]*")))
    names = _visible_names(os.environ)
    return (present if not present or names is None else len(names)) or core_count()


def device_note() -> str:
    """A line that tells a Mac user that the GPU is not used; empty on other systems. Needs no torch."""
    return f"this Mac's GPU is {MPS}" if sys.platform == "darwin" else ""


def slot_gpus(count: int, environment: Mapping[str, str]) -> list[str]:
    """Return the names of the GPUs that the slots share: numbers, UUIDs or MIG instances.

    `count` is the number of GPUs that CUDA shows to one process. CUDA shows a process only one MIG instance, however
    many CUDA_VISIBLE_DEVICES lists, so MIG instances are counted by name:

        CUDA_VISIBLE_DEVICES=3,5           count 2  ->  ["3", "5"]
        CUDA_VISIBLE_DEVICES=MIG-a,MIG-b   count 1  ->  ["MIG-a", "MIG-b"]
        unset                              count 2  ->  ["0", "1"]
    """
    names = _visible_names(environment)
    if names is None:
        return [str(index) for index in range(count)]
    if count and is_mig(names):
        return list(takewhile(lambda name: name.startswith(_MIG), names))
    return names[:count]


def is_mig(names: list[str]) -> bool:
    """Return whether the GPUs called `names` are MIG instances. A process cannot use more than one of them."""
    return bool(names) and names[0].startswith(_MIG)


def _visible_names(environment: Mapping[str, str]) -> list[str] | None:
    """Return the names in CUDA_VISIBLE_DEVICES; None if it is not set. CUDA ignores all names after an invalid one."""
    visible = environment.get(VISIBLE)
    if visible is None:
        return None
    return list(takewhile(lambda name: name not in ("", "-1"), map(str.strip, visible.split(","))))
