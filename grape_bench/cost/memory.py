"""The peak memory of training, above the memory in use before it.

Linux can restart its count of the peak. Elsewhere the peak is that of the whole process, so the number is an upper
bound: it includes any peak before training, and that of the diagnostics.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Measures the peak since its creation: of CUDA allocations, or of the resident set of this process.

    The peak of a resumed training is the largest peak of its processes. On a CPU the number includes memory that the
    allocator holds, so it is meaningful only if the process runs a single job.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.earlier = 0
        _make_library_workspaces(device)
        gc.collect()
        self._reset_peak()
        self.baseline = self._now()

    def measure(self) -> dict[str, Any]:
        """Return `baseline_bytes` (before training), `peak_bytes` above the baseline, and the `kind` of memory."""
        if self.device.type == "cuda":
            peak, kind = torch.cuda.max_memory_allocated(self.device), "cuda"
        else:
            peak, kind = _resident_peak(), "rss"
        return {"baseline_bytes": self.baseline, "peak_bytes": max(self.earlier, peak - self.baseline), "kind": kind}

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Exclude the memory of this block from the peak, including what the block leaves allocated."""
        self.earlier = self.measure()["peak_bytes"]
        before = self._now()
        try:
            yield
        finally:
            if self.device.type != "cuda":
                _return_freed_memory()
            self.baseline += max(0, self._now() - before)
            self._reset_peak()

    def _now(self) -> int:
        return torch.cuda.memory_allocated(self.device) if self.device.type == "cuda" else _resident()

    def state(self) -> dict[str, Any]:
        """The peak so far."""
        return {"peak_bytes": self.measure()["peak_bytes"]}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the earlier peak and restart the count, because reading a checkpoint is not part of training."""
        self.earlier = state["peak_bytes"]
        gc.collect()
        self._reset_peak()

    def _reset_peak(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            _reset_resident_peak()


def _make_library_workspaces(device: torch.device) -> None:
    """Make cuBLAS allocate its workspaces now, so that they count as part of the baseline.

    PyTorch allocates them from its own pool: 32 MiB for each thread that multiplies matrices on an H100. The backward
    runs in another thread. Without this, the peak of a small network would be almost entirely workspace, for every
    rule.
    """
    if device.type == "cuda":
        x = torch.ones(16, 16, device=device, requires_grad=True)
        torch.nn.functional.linear(x, x, x[0]).sum().backward()
        torch.cuda.synchronize(device)


def _return_freed_memory() -> None:
    """Make the C library return freed memory to the system. Only glibc can do this. Other libraries keep it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _reset_resident_peak() -> None:
    """Reset the kernel's peak. Only Linux can do this."""
    if RESET.exists():
        RESET.write_text("5")


def _resident() -> int:
    """The bytes of memory that this process holds now."""
    if sys.platform == "linux":
        return _status("VmRSS")
    import psutil

    return int(psutil.Process().memory_info().rss)


def _resident_peak() -> int:
    """The most bytes that this process has held since the last reset, if any."""
    if sys.platform == "linux":
        return _status("VmHWM")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # other systems count KiB


def _status(field: str) -> int:
    """A field of /proc/self/status, in bytes."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024
