"""No two rules are one rule under two names: their weights differ after two epochs of ten steps."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import grape_bench as gb
from grape_bench.rules.names import RULES

EPOCHS, STEPS, CLASSES = 2, 10, 4
ALIKE = {
    # `frozen` differs from `head-only` in its job, which fits a head instead of taking steps.
    frozenset({"frozen", "head-only"}),
}
"""Pairs that are equal here by definition."""


def mlp() -> nn.Module:
    """Nine blocks, so that every rung of the depth ladder trains another part."""
    hidden = [nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6), nn.Tanh()) for _ in range(9)]
    return nn.Sequential(nn.Linear(6, 6), nn.Sequential(*hidden), nn.Linear(6, CLASSES))


def trained(rule: str) -> Tensor | None:
    """All weights after the training, or None if the rule makes no sense for this model."""
    torch.manual_seed(0)
    model = mlp()
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(STEPS, 16, 6, generator=generator), torch.arange(16) % CLASSES
    try:
        net = gb.attach(model, rule, x[0])
    except gb.DoesNotApplyError:
        return None
    optimizer = torch.optim.SGD(net.parameter_groups(), lr=0.1, momentum=0.9)
    for _ in range(EPOCHS):
        net.begin_epoch(STEPS)
        for batch in x:
            optimizer.zero_grad()
            net.step(batch, lambda output: F.cross_entropy(output, y), y)
            optimizer.step()
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    found = {rule: trained(rule) for rule in RULES.shipped}
    start = torch.cat([parameter.detach().flatten() for parameter in mlp().parameters()])
    assert {rule for rule, one in found.items() if one is not None and torch.equal(one, start)} == set()
    return {rule: one for rule, one in found.items() if one is not None}


def test_no_two_rules_give_the_same_weights(weights: dict[str, Tensor]) -> None:
    assert len(weights) > 25
    scale = weights["bp"].norm()
    alike = {
        frozenset((one, other))
        for one, other in combinations(weights, 2)
        if (weights[one] - weights[other]).norm() < 1e-5 * scale
    }
    assert alike == ALIKE


def test_a_rule_gives_the_same_weights_again(weights: dict[str, Tensor]) -> None:
    """Otherwise the other test could not fail."""
    for rule in ("bp", "grape", "spsa"):
        again = trained(rule)
        assert again is not None and torch.equal(again, weights[rule])
