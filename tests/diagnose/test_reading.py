"""The pass that diagnostics open for a rule."""

import copy

import pytest
import torch

from grape_bench.diagnose.reading import apart, rule_pass
from tests.diagnose.networks import attached, linear_network


@pytest.mark.parametrize("rule", ["grape", "grape+refit", "fdfa", "wm", "dfa+anchor", "dfa+finish"])
def test_it_advances_nothing(rule):
    """No refresh, fit or mirror phase runs a forward, and no counter of the rule moves."""
    net, batch = attached(linear_network(8, 12, 10, 5), rule), ((torch.randn(4, 8),), {})
    net.planned_steps = 4
    found = []
    with apart(net) as copied:
        for _ in range(2):
            rule_pass(net, copied, batch)
            found.append(copy.deepcopy((copied.state(), net.counts)))
    assert found[0] == found[1] and found[0][1].forward == 0
    assert net.advances, "the next pass is a training step again"
