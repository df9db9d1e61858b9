"""Descent, growth, the null and Zoutendijk's sum where they are known."""

import math

import pytest
import torch
from torch import nn

import grape_bench as gb
from grape_bench.diagnose.alignment import Null
from grape_bench.diagnose.descent import Descent
from grape_bench.diagnose.growth import Growth
from grape_bench.diagnose.observer import RunningSum
from grape_bench.diagnose.reading import apart, read
from grape_bench.network.passes import Pass
from grape_bench.record.table import HIDDEN, NETWORK
from tests.diagnose.networks import attached, jacobians, linear_network, measured, noisy_network, set_feedback


def descent(net, optimizer, batches=4):
    return measured(net, lambda net, _: Descent(net, optimizer), batches)


def test_backpropagation_always_descends_under_dropout_and_batchnorm():
    net = attached(noisy_network(), "bp")
    found = descent(net, torch.optim.SGD(net.model.parameters(), lr=0.1))
    assert found[HIDDEN]["descent"] == found[NETWORK]["descent"] == 1


def test_feedback_of_the_wrong_sign_never_does_though_the_head_hides_it():
    model = linear_network(8, 12, 10, 5)
    net = attached(model)
    set_feedback(net, {name: -1e-3 * J for name, J in jacobians(model).items()})
    found = descent(net, torch.optim.SGD(model.parameters(), lr=0.1), batches=1)
    assert found[HIDDEN]["descent"] == found[HIDDEN]["update_descent"] == 0
    assert found[NETWORK]["descent"] == 1, "the head's exact gradient outweighs the hidden layers'"


def test_head_only_does_not_descend_in_its_hidden_layers():
    net = attached(noisy_network(), "head-only")
    found = descent(net, torch.optim.AdamW(net.model.parameters()))
    assert found[HIDDEN] == {"descent": 0, "update_descent": 0} and found[NETWORK]["descent"] == 1


@pytest.mark.parametrize("make", [torch.optim.AdamW, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)])
def test_the_update_is_the_optimizers_own_to_the_bit_and_is_not_taken(make):
    net = attached(noisy_network(), "dfa")
    optimizer = make(net.model.parameters())
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5)

    def gradients():
        net.model(torch.randn(16, 8)).square().mean().backward()
        return {name: p.grad.clone() for name, p in net.model.named_parameters()}

    gradients()
    optimizer.step()
    optimizer.zero_grad()
    state = gradients()
    before = {name: p.detach().clone() for name, p in net.model.named_parameters()}
    update = Descent(net, optimizer).update(state)
    assert all(torch.equal(p, before[name]) for name, p in net.model.named_parameters())
    optimizer.step()
    for name, p in net.model.named_parameters():
        assert torch.equal(p.detach() - before[name], update[name])


def test_an_exploding_residual_network_grows_by_its_factor():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(8, 8, bias=False)
            with torch.no_grad():
                self.inner.weight.copy_(99 * torch.eye(8))

        def forward(self, x):
            return x + self.inner(x)

    net = attached(nn.Sequential(Residual(), Residual(), Residual(), nn.Linear(8, 3)), "dfa")
    rows = measured(net, lambda net, _: Growth(net), 2)
    assert [row["growth"] for row in rows.values()] == pytest.approx([100, 100, 100], rel=1e-4)


def test_a_frozen_block_has_a_size_from_which_the_next_one_grows():
    model = linear_network(8, 8, 8, 3)
    model[0].requires_grad_(False)
    rows = measured(attached(model), lambda net, _: Growth(net))
    assert [row["growth"] > 0 for row in rows.values()] == [True, True]


def test_random_feedback_to_one_output_has_a_cosine_of_one_over_the_root_of_the_width():
    """A linear network with one output: every sample's signal is a multiple of b, every gradient one of J."""
    model = linear_network(8, 50, 1)
    net = attached(model)
    before = net.blocks[0].load("feedback").clone()
    x = torch.randn(16, 8)

    def loss(output):
        return output.square().mean()

    with apart(net):
        null = Null(net, draws=400)
        true = read(net, Pass(), ((x,), {}), loss)
        null.see(((x,), {}), true, true)
    assert null.values()["0"]["null_cos"] == pytest.approx(1 / math.sqrt(50), rel=0.1)
    assert torch.equal(net.blocks[0].load("feedback"), before)


def test_zoutendijks_sum_is_that_of_the_terms_between_the_moments():
    running = RunningSum()
    assert running.add(0, 0.5, 2.0) == 0
    assert running.add(10, 0.5, 2.0) == pytest.approx(10)
    assert running.add(20, math.nan, 2.0) == pytest.approx(15), "a direction of zero adds nothing from there on"
    again = RunningSum(**running.state())
    assert again.add(30, 1.0, 1.0) == running.add(30, 1.0, 1.0) == pytest.approx(20)


def test_a_rule_need_not_be_of_any_family():
    class Zero(gb.LearningRule):
        pass

    net = attached(linear_network(8, 12, 5), Zero())
    assert descent(net, torch.optim.SGD(net.model.parameters(), lr=1))[HIDDEN]["descent"] == 1
