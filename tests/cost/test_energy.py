"""The energy meter, with a stand-in for NVIDIA's library."""

import ctypes
import time
from types import SimpleNamespace

import pytest
import torch

from grape_bench.cost import energy
from grape_bench.cost.energy import EnergyMeter


class Library:
    """A card that uses 100 W, on which `others` compute besides this process."""

    def __init__(self, others=0, starts=True):
        self.others, self.starts, self.started = others, starts, time.perf_counter()

    def nvmlInit_v2(self):  # noqa: N802
        return 0 if self.starts else 9

    def nvmlShutdown(self):  # noqa: N802
        return 0

    def nvmlDeviceGetHandleByUUID(self, uuid, handle):  # noqa: N802
        handle._obj.value = 1
        return 0

    def nvmlDeviceGetComputeRunningProcesses_v3(self, handle, count, room):  # noqa: N802
        count._obj.value = 1 + self.others
        return 7

    def nvmlDeviceGetTotalEnergyConsumption(self, handle, total):  # noqa: N802
        total._obj.value = int(1e5 * (time.perf_counter() - self.started))
        return 0


def meter(monkeypatch, library):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="0"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(energy, "IDLE_S", 0.05)
    return EnergyMeter(torch.device("cuda"), least_s=0.05)


def test_joules_of_a_step_and_watts_at_rest(monkeypatch):
    with meter(monkeypatch, Library()) as own:
        assert own.per_step(lambda count: time.sleep(0.01 * count), 2) >= 0.99  # 10 ms at 100 W
        assert own.idle_watts() == pytest.approx(100, rel=0.1)
        assert own.processes() == 1


def test_a_shared_card_has_no_joules_of_one_process(monkeypatch):
    with meter(monkeypatch, Library(others=1)) as own:
        assert own.processes() == 2
        assert own.per_step(lambda count: None, 1) is None
        assert own.idle_watts() is None


def test_a_neighbor_that_comes_during_the_measurement_is_noticed(monkeypatch):
    library = Library()

    def steps(count):
        library.others = 1

    with meter(monkeypatch, library) as own:
        assert own.per_step(steps, 1) is None


@pytest.mark.parametrize("library", [Library(starts=False), None], ids=["a driver that fails", "no driver"])
def test_without_a_counter_there_is_nothing(library, monkeypatch):
    def load(name):
        if library is None:
            raise OSError(name)
        return library

    own = meter(monkeypatch, library)
    monkeypatch.setattr(ctypes, "CDLL", load)
    with own:
        assert own.per_step(lambda count: None, 1) is None
        assert own.processes() is None
