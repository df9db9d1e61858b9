"""The energy that a GPU uses, read from NVML, which comes with the driver."""

import ctypes
import time
from collections.abc import Callable

import torch

LEAST_S = 0.5  # NVML updates its counter only every few tens of milliseconds


class EnergyMeter:
    """Measures joules per step. Returns None without a GPU, or if its driver does not count energy."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._library: ctypes.CDLL | None = None
        self._handle = ctypes.c_void_p()

    def __enter__(self) -> "EnergyMeter":
        if self.device.type == "cuda":
            try:
                self._library = ctypes.CDLL("libnvidia-ml.so.1")
            except OSError:
                return self
            self._library.nvmlInit_v2()
            uuid = f"GPU-{torch.cuda.get_device_properties(self.device).uuid}".encode()
            self._library.nvmlDeviceGetHandleByUUID(uuid, ctypes.byref(self._handle))
        return self

    def __exit__(self, *_: object) -> None:
        if self._library is not None:
            self._library.nvmlShutdown()

    def per_step(self, steps: Callable[[int], object], count: int) -> float | None:
        """Measure the joules of one step. `steps(count)` takes `count` steps; it is called for half a second."""
        before = self._millijoules()
        if before is None:
            return None
        taken, start = 0, time.perf_counter()
        while time.perf_counter() - start < LEAST_S:
            steps(count)
            torch.cuda.synchronize(self.device)
            taken += count
        after = self._millijoules()
        return None if after is None else (after - before) / 1000 / taken

    def _millijoules(self) -> int | None:
        """Millijoules since the driver was loaded."""
        total = ctypes.c_ulonglong()
        if self._library is None or not self._handle.value:
            return None
        failed = self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle, ctypes.byref(total))
        return None if failed else total.value
