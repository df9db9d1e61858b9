"""Peak memory of training above the state before it."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Measures from its creation: CUDA's peak allocation, or the peak resident set of this process.

    A resumed training has the larger one of its processes' peaks.

    On a CPU the figure includes what the allocator holds, and means something only in a process per job.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.earlier = 0
        _make_library_workspaces(device)
        gc.collect()
        self._count_anew()
        self.baseline = self._now()

    def measure(self) -> dict[str, Any]:
        """`baseline_bytes` before, `peak_bytes` above it, and the `kind` of memory."""
        if self.device.type == "cuda":
            peak, kind = torch.cuda.max_memory_allocated(self.device), "cuda"
        else:
            peak, kind = _resident("VmHWM"), "rss"
        return {"baseline_bytes": self.baseline, "peak_bytes": max(self.earlier, peak - self.baseline), "kind": kind}

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave out of the peak what happens until the end of the block, and what remains of it."""
        self.earlier = self.measure()["peak_bytes"]
        before = self._now()
        try:
            yield
        finally:
            if self.device.type != "cuda":
                _give_back()
            self.baseline += max(0, self._now() - before)
            self._count_anew()

    def _now(self) -> int:
        return torch.cuda.memory_allocated(self.device) if self.device.type == "cuda" else _resident("VmRSS")

    def state(self) -> dict[str, Any]:
        """The peak so far."""
        return {"peak_bytes": self.measure()["peak_bytes"]}

    def load_state(self, state: dict[str, Any]) -> None:
        """That peak, and a new one from here on: reading a checkpoint is no part of training."""
        self.earlier = state["peak_bytes"]
        gc.collect()
        self._count_anew()

    def _count_anew(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            _reset_peak()


def _make_library_workspaces(device: torch.device) -> None:
    """Let cuBLAS allocate its workspaces now, so that they count as part of the baseline.

    PyTorch allocates them from its own pool: 32 MiB for each thread that multiplies matrices on an H100. Backward runs
    in a thread of its own. Without this, the peak of a small network is almost only workspace, for every rule.
    """
    if device.type == "cuda":
        x = torch.ones(16, 16, device=device, requires_grad=True)
        torch.nn.functional.linear(x, x, x[0]).sum().backward()
        torch.cuda.synchronize(device)


def _give_back() -> None:
    """Let the C library return freed memory to the system (glibc; elsewhere it is kept)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


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
