"""What a backward pass takes from the weights, on rules whose answer is known from their formulas."""

import pytest
import torch
from torch import nn

import grape_bench as gb
from grape_bench.network.reads import weights_read
from grape_bench.network.trace import as_batch
from grape_bench.network.transport import transport
from tests.network.problems import tanh_mlp

X = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))


class CopiesWeights(gb.BackwardFeedback):
    def matrix(self, weight, feedback):
        return weight.clone()


class CopiesSigns(gb.BackwardFeedback):
    def matrix(self, weight, feedback):
        return weight.sign() * feedback.abs()


class Pairs(nn.Module):
    """Two weights between two cuts."""

    def __init__(self):
        super().__init__()
        blocks = [nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh()) for _ in range(3)]
        self.blocks, self.head = nn.ModuleList(blocks), nn.Linear(6, 4)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def measured(rule, model=tanh_mlp, blocks=()):
    def make(prepare):
        torch.manual_seed(0)
        built = model()
        prepare(built)
        return gb.attach(built, gb.make_rule(rule) if isinstance(rule, str) else rule(), X, blocks=blocks)

    return transport(make, as_batch(X))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("bp", "all"),
        ("fa", "none"),
        ("kp", "none"),
        ("dfa", "none"),
        ("head-only", "none"),
        ("wm", "learned from forward passes"),
        ("grape", "learned from forward passes"),
        ("usf", "signs"),
        (CopiesSigns, "signs"),
        (CopiesWeights, "all"),
    ],
)
def test_the_property_of_rules_on_an_mlp(rule, expected):
    assert measured(rule) == expected


@pytest.mark.parametrize(("rule", "expected"), [("dfa", "inside a block"), ("fa", "none"), ("bp", "all")])
def test_weights_between_two_cuts_are_read_inside_a_block(rule, expected):
    assert measured(rule, Pairs, ["blocks.*"]) == expected


def test_the_weights_are_named_with_the_gradients_that_they_move():
    net = gb.attach(tanh_mlp(), "bp", X)
    before, state = torch.get_rng_state(), {name: value.clone() for name, value in net.model.state_dict().items()}
    assert weights_read(net, as_batch(X)) == {"2.weight": ["0.weight", "0.bias"],
                                              "4.weight": ["0.weight", "0.bias", "2.weight", "2.bias"]}  # fmt: skip
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, state[name]) for name, value in net.model.state_dict().items())
    assert all(parameter.grad is None for parameter in net.model.parameters())


def test_recomputed_activations_are_not_taken_for_transport():
    class Checkpointed(Pairs):
        def forward(self, x):
            for block in self.blocks:
                x = torch.utils.checkpoint.checkpoint(block, x, use_reentrant=False)
            return self.head(x)

    assert measured("fa", Checkpointed) == "none"


def test_an_ordinary_step_of_an_anchored_rule_is_measured():
    assert weights_read(gb.attach(tanh_mlp(), "fa+anchor", X), as_batch(X)) == {}
