"""The length of a training, and the networks in a model."""

import math

import pytest
import torch
from torch import nn

import grape_bench as gb
from grape_bench.callbacks.training import Length, networks, only_network
from tests.network.problems import tanh_mlp

X = torch.randn(4, 6)


@pytest.mark.parametrize(
    ("length", "planned"),
    [
        (Length(10, 1, 30), 30),
        (Length(10, 1, 25), 25),  # stops in the middle of an epoch
        (Length(10, 4, 5), 18),  # 4 + 4 + 2, then 4 + 4
        (Length(10, 4, 6), 20),
        (Length(math.inf, 4, 5), 20),
        (Length(10, 4), None),
    ],
)
def test_planned_mini_batches(length, planned):
    assert length.planned == planned


def test_the_last_update_of_an_epoch_takes_what_is_left():
    assert [Length(10, 4).accumulated(done) for done in range(6)] == [4, 4, 2, 4, 4, 2]
    assert Length(math.inf, 4).accumulated(7) == 4


class Epochs(gb.DirectFeedback):
    """Notes the length of each epoch."""

    def __init__(self):
        self.seen = []

    def signal(self, block, error):
        return torch.zeros_like(block.output)

    def begin_epoch(self, network, batches):
        self.seen.append(batches)


def test_the_last_epoch_is_as_long_as_the_updates_that_are_left():
    net = gb.attach(tanh_mlp(), rule := Epochs(), X)
    length = Length(10, 4, 5)
    length.begin_epoch([net], done=0)
    length.begin_epoch([net], done=3)
    assert rule.seen == [10, 8]


def test_an_epoch_of_unknown_length_is_not_begun():
    net = gb.attach(tanh_mlp(), rule := Epochs(), X)
    Length(math.inf).begin_epoch([net], done=0)
    assert rule.seen == []


def test_networks_are_found_inside_of_other_models_and_of_compiled_ones():
    model = tanh_mlp()
    net = gb.attach(model, "dfa", X)
    assert networks(model) == networks(nn.ModuleDict({"model": model})) == networks(torch.compile(model)) == [net]


def test_a_model_without_a_rule_is_refused():
    with pytest.raises(gb.UserError, match="Sequential has no learning rule") as refused:
        networks(tanh_mlp())
    assert "gb.attach" in refused.value.hint


def test_two_networks_are_too_many_for_one_set_of_batches():
    pair = nn.ModuleList(gb.attach(tanh_mlp(), "dfa", X).model for _ in range(2))
    with pytest.raises(gb.UserError, match="2 networks"):
        only_network(pair)
