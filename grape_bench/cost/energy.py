"""The energy that a GPU uses, read from NVML, which comes with the driver."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from contextlib import suppress

import torch

LEAST_S = 3.0  # NVML updates its counter only every few tens of milliseconds
IDLE_S = 1.0
_SUCCESS, _TOO_SMALL = 0, 7  # NVML's return codes; 7 also reports how much room is needed


class EnergyMeter:
    """Measures joules per step. Returns None without a GPU, or if its driver does not count energy.

    The counter covers the whole card. So the result is also None if another process uses the card.
    """

    def __init__(self, device: torch.device, least_s: float = LEAST_S) -> None:
        self.device, self.least_s = device, least_s
        self._library: ctypes.CDLL | None = None
        self._handle = ctypes.c_void_p()

    def __enter__(self) -> EnergyMeter:
        if self.device.type != "cuda":
            return self
        with suppress(OSError):
            library = ctypes.CDLL("libnvidia-ml.so.1")
            if library.nvmlInit_v2() == _SUCCESS:
                self._library = library
                uuid = f"GPU-{torch.cuda.get_device_properties(self.device).uuid}".encode()
                library.nvmlDeviceGetHandleByUUID(uuid, ctypes.byref(self._handle))
        return self

    def __exit__(self, *_: object) -> None:
        if self._library is not None:
            self._library.nvmlShutdown()

    def processes(self) -> int | None:
        """The number of processes computing on the card that the driver shows. None if it cannot tell."""
        count = ctypes.c_uint(0)
        if self._library is None or not self._handle.value:
            return None
        code = self._library.nvmlDeviceGetComputeRunningProcesses_v3(self._handle, ctypes.byref(count), None)
        return count.value if code in (_SUCCESS, _TOO_SMALL) else None

    def per_step(self, steps: Callable[[int], object], count: int) -> float | None:
        """Measure the joules of one step. `steps(count)` takes `count` steps. It is called for `least_s` seconds."""
        taken = 0

        def work() -> None:
            nonlocal taken
            start = time.perf_counter()
            while time.perf_counter() - start < self.least_s:
                steps(count)
                torch.cuda.synchronize(self.device)
                taken += count

        joules = self._joules(work)
        return None if joules is None else joules / taken

    def idle_watts(self) -> float | None:
        """The power of the card while this process waits. It is included in the joules of a step."""
        start = time.perf_counter()
        joules = self._joules(lambda: time.sleep(IDLE_S))
        return None if joules is None else joules / (time.perf_counter() - start)

    def _joules(self, work: Callable[[], object]) -> float | None:
        before = self._millijoules()
        if before is None or self._is_shared():
            return None
        work()
        after = self._millijoules()
        return None if after is None or self._is_shared() else (after - before) / 1000

    def _is_shared(self) -> bool:
        return (self.processes() or 0) > 1

    def _millijoules(self) -> int | None:
        """The millijoules since the driver was loaded."""
        total = ctypes.c_ulonglong()
        if self._library is None or not self._handle.value:
            return None
        failed = self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle, ctypes.byref(total))
        return None if failed else total.value
