"""Whether a rule steps the weights itself is measured."""

from __future__ import annotations

import pytest
import torch

import grape_bench as gb
from grape_bench.network.own_steps import takes_own_steps
from tests.network.problems import tanh_mlp

X = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))


class StepsItself(gb.TwoPhase):
    """Moves the first weight in every second step, behind the optimizer's back."""

    def __init__(self) -> None:
        self.count = 0

    def second_phase(self, network: gb.Network, first: gb.FirstPhase) -> None:
        self.count += 1
        if self.count % 2 == 0:
            next(network.model.parameters()).data.mul_(0.99)


@pytest.mark.parametrize("rule", ["bp", "dfa", "grape", "spsa", "predsim"])
def test_shipped_rules_leave_the_steps_to_the_optimizer(rule: str) -> None:
    """`spsa` moves the weights for its forwards and puts them back."""
    assert not takes_own_steps(gb.attach(tanh_mlp(), rule, X), ((X,), {}))


def test_a_rule_that_changes_a_weight_is_found_and_the_weights_stay() -> None:
    model = tanh_mlp()
    net = gb.attach(model, StepsItself(), X)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    assert takes_own_steps(net, ((X,), {}))
    assert all(map(torch.equal, before, model.parameters()))
