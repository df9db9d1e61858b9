"""The clock and the memory meter."""

import time

import torch

from grape_bench.train.clock import Clock
from grape_bench.train.memory import PeakMemory

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


def test_the_clock_stands_still_while_paused():
    clock = Clock(CPU)
    with clock.running():
        with clock.paused():
            time.sleep(0.05)
        assert clock.seconds < 0.05
    with clock.paused():
        time.sleep(0.05)
    assert clock.seconds < 0.05
