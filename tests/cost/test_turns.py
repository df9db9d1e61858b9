"""Times in turns: CPU time on one thread, so that other work on the machine does not count."""

from __future__ import annotations

import time

import pytest
import torch

from grape_bench.cost.turns import in_turns, seconds_of

CPU = torch.device("cpu")


@pytest.mark.parametrize(("threads", "counts"), [(1, False), (2, True)])
def test_waiting_counts_only_on_several_threads(threads: int, counts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert (seconds_of(lambda: time.sleep(0.05), CPU) >= 0.05) == counts


def test_work_counts_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)

    def spin() -> None:
        end = time.process_time() + 0.01
        while time.process_time() < end:
            pass

    assert seconds_of(spin, CPU) >= 0.01


def test_a_round_runs_every_piece_once_and_warm_up_rounds_are_dropped() -> None:
    seen: list[str] = []
    seconds = in_turns({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, CPU, most=6, budget_s=60)
    assert seen == ["a", "b"] * 8 and [len(each) for each in seconds.values()] == [6, 6]
