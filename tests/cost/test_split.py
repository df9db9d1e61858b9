"""Where the time of a step goes, for steps whose phases have a known length."""

import itertools
import time
from dataclasses import astuple

import pytest
import torch
from torch import nn

import grape_bench as gb
from grape_bench.cost.step import time_split

CPU = torch.device("cpu")
SECONDS = {"data": 0.002, "forward": 0.006, "backward": 0.012, "update": 0.004}


class Sleeper:
    """A step that computes nothing and takes its time."""

    def __init__(self, rule):
        self.network = gb.attach(nn.Sequential(*(nn.Linear(4, 4) for _ in range(4))), rule, torch.randn(2, 4))
        self.optimizer = torch.optim.SGD(self.network.model.parameters(), lr=0.1)

    def forward(self, batch, target):
        self.network.model(*batch[0])
        time.sleep(SECONDS["forward"])
        return torch.zeros(())

    def backward(self, loss):
        time.sleep(SECONDS["backward"])

    def update(self):
        time.sleep(SECONDS["update"])


def batches():
    for _ in itertools.count():
        time.sleep(SECONDS["data"])
        yield ((torch.randn(2, 4),), {}), torch.zeros(2, dtype=torch.long)


def test_each_phase_has_its_seconds():
    found = time_split(Sleeper("bp"), batches(), CPU, budget_s=0)
    assert found.data < found.update < found.forward < found.backward
    assert list(found.record()) == ["data", "forward", "tangents", "credit", "update"], "the keys of records"
    for name, seconds in SECONDS.items():
        assert getattr(found, name) >= seconds
    assert found.tangents < found.data


def test_what_a_rule_computes_before_its_forward_is_apart(monkeypatch):
    step = Sleeper("grape-lazy")
    align = type(step.network.rule).align

    def slow(*arguments):
        time.sleep(0.08)
        return align(*arguments)

    monkeypatch.setattr(type(step.network.rule), "align", slow)
    found = time_split(step, batches(), CPU, budget_s=0)
    # Every eighth step is refreshed: the mean over a period.
    assert found.tangents >= 0.01 and found.forward >= SECONDS["forward"]
    assert "open_pass" not in vars(step.network.rule)


def test_a_rule_that_fails_is_left_as_it_was():
    step = Sleeper("dfa")
    step.forward = lambda batch, target: 1 / 0
    with pytest.raises(ZeroDivisionError):
        time_split(step, batches(), CPU)
    assert "open_pass" not in vars(step.network.rule)


def test_all_phases_together_are_the_step():
    found = time_split(Sleeper("dfa"), batches(), CPU, budget_s=0)
    assert sum(astuple(found)) >= sum(SECONDS.values())
