"""Peak memory of training above the state before it."""

from __future__ import annotations

import gc
import resource
import sys
from pathlib import Path
from typing import Any

import torch

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Measures from its creation: CUDA's peak allocation, or the peak resident set of this process.

    On a CPU the figure includes what the allocator holds, and means something only in a process per job.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        gc.collect()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self.baseline = torch.cuda.memory_allocated(device)
        else:
            _reset_peak()
            self.baseline = _resident("VmRSS")

    def measure(self) -> dict[str, Any]:
        """`baseline_bytes` before, `peak_bytes` above it, and the `kind` of memory."""
        if self.device.type == "cuda":
            peak, kind = torch.cuda.max_memory_allocated(self.device), "cuda"
        else:
            peak, kind = _resident("VmHWM"), "rss"
        return {"baseline_bytes": self.baseline, "peak_bytes": max(0, peak - self.baseline), "kind": kind}


def _reset_peak() -> None:
    """Let the kernel count the peak anew (Linux; elsewhere it is that of the whole process)."""
    if RESET.exists():
        RESET.write_text("5")


def _resident(field: str) -> int:
    """`VmRSS` (now) or `VmHWM` (peak) in bytes."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field + ":"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
