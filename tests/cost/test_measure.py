"""The clock and the memory meter."""

import resource
import sys
import time
from types import SimpleNamespace

import psutil
import pytest
import torch

from grape_bench.cost import memory as room
from grape_bench.cost.clock import Clock
from grape_bench.cost.memory import PeakMemory
from grape_bench.cost.turns import ratio, sums

CPU = torch.device("cpu")


def test_the_clock_counts_only_what_runs_inside_it():
    clock = Clock(CPU)
    time.sleep(0.05)
    assert clock.seconds == 0
    with clock.running():
        time.sleep(0.02)
    once = clock.seconds
    with clock.running():
        time.sleep(0.02)
    assert 0.02 <= once < clock.seconds


def test_peak_memory_is_that_above_the_state_before():
    held = torch.ones(2**25)  # 128 MiB that were there before
    memory = PeakMemory(CPU)
    work = torch.ones(2**26)  # 256 MiB, freed again
    del work
    measured = memory.measure()
    assert 230e6 < measured["peak_bytes"] < 400e6 and measured["baseline_bytes"] > held.numel() * 4
    assert measured["kind"] == "rss"


def test_psutil_and_proc_agree_on_the_memory_that_is_held(monkeypatch: pytest.MonkeyPatch):
    held = torch.ones(2**25)
    by_proc, by_psutil = room._resident(), psutil.Process().memory_info().rss
    monkeypatch.setattr(sys, "platform", "darwin")
    assert room._resident() == pytest.approx(by_proc, rel=0.1) == pytest.approx(by_psutil, rel=0.1)
    assert room._resident() > held.numel() * 4


@pytest.mark.parametrize(("platform", "unit"), [("darwin", 1), ("freebsd14", 1024)])
def test_elsewhere_the_peak_is_that_of_the_whole_process(platform: str, unit: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=2**40 // unit))
    memory = PeakMemory(CPU)
    measured = memory.measure()
    assert measured["baseline_bytes"] == pytest.approx(psutil.Process().memory_info().rss, rel=0.1)
    assert measured["peak_bytes"] == 2**40 - measured["baseline_bytes"]


def test_the_clock_stands_still_while_paused():
    clock = Clock(CPU)
    with clock.running():
        with clock.paused():
            time.sleep(0.05)
        assert clock.seconds < 0.05
    with clock.paused():
        time.sleep(0.05)
    assert clock.seconds < 0.05


def test_a_ratio_over_a_period_counts_what_happens_now_and_then():
    """One step of four takes five times as long as the reference's; the last two fill no period."""
    own, reference = [5.0, 1, 1, 1] * 3 + [5.0, 1], [1.0] * 14
    assert ratio(own, reference, period=4).median == 2
    assert sums(own, 4) == [8, 8, 8]
