"""The short ways of a step, for networks on which Python takes long, give the same bits as the general ones."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from grape_bench.network.passes import CutPass
from grape_bench.rules import substitute


class Tokens(nn.Module):
    """Blocks on (N, T, width): linear layers with three dimensions, of which one has no bias."""

    def __init__(self):
        super().__init__()
        layers = [nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8, bias=False)) for _ in range(3)]
        self.layers, self.head = nn.ModuleList(layers), nn.Linear(8, 3)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.head(x.mean(1))


def mlp():
    return nn.Sequential(*(nn.Sequential(nn.Linear(8, 8), nn.ReLU()) for _ in range(3)), nn.Linear(8, 3))


def trained(make, rule, shape, steps=4):
    """The state of a network after a few steps of AdamW."""
    torch.manual_seed(0)
    model, x, y = make(), torch.randn(6, *shape), torch.arange(6) % 3
    net = gb.attach(model, rule, x)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return net.state_dict()["model"] | {"counts": torch.tensor(list(net.state_dict()["counts"].values()))}


def same_bits(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("make", "shape"), [(mlp, (8,)), (Tokens, (5, 8))])
@pytest.mark.parametrize("rule", ["dfa", "grape", "drtp", "fg"])
@pytest.mark.parametrize("limit", [0, 1000])  # bytes: a token per block, or for some of them
def test_fused_signals_equal_lazy_ones(make, shape, rule, limit, monkeypatch):
    fused = trained(make, rule, shape)
    monkeypatch.setattr(CutPass, "fused_bytes", limit)
    assert same_bits(trained(make, rule, shape), fused)


@pytest.mark.parametrize(("limit", "tokens"), [(2**20, 0), (200, 2), (0, 3)])
def test_a_limit_on_bytes_says_which_signals_are_lazy(limit, tokens, monkeypatch):
    """Each of the three outputs (6, 8) has 192 bytes."""
    monkeypatch.setattr(CutPass, "fused_bytes", limit)
    model, x = mlp(), torch.randn(6, 8)
    gb.attach(model, "dfa", x)
    below = [type(node).__name__ for node, _ in model(x).grad_fn.next_functions if node is not None]
    assert below.count("_CutBackward") == tokens and len(below) == 4


@pytest.mark.parametrize(("make", "shape"), [(mlp, (8,)), (Tokens, (5, 8))])
@pytest.mark.parametrize("rule", ["fa", "brsf", "kp", "wm"])
def test_a_linear_layer_equals_the_general_way(make, shape, rule, monkeypatch):
    short = trained(make, rule, shape)
    monkeypatch.setattr(substitute, "_is_plain", lambda *_: False)
    assert same_bits(trained(make, rule, shape), short)


def test_a_linear_layer_has_a_second_derivative(monkeypatch):
    """A gradient penalty under FA runs through the same matrices either way."""

    taken = []

    def penalty():
        torch.manual_seed(0)
        model, x = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)), torch.randn(3, 4, requires_grad=True)
        gb.attach(model, "fa", x.detach())
        taken.append(type(model(x).grad_fn).__name__)
        (gradient,) = torch.autograd.grad(model(x).square().sum(), x, create_graph=True)
        gradient.square().sum().backward()
        return [parameter.grad for parameter in model.parameters()]

    short = penalty()
    monkeypatch.setattr(substitute, "_is_plain", lambda *_: False)
    for one, other in zip(short, penalty(), strict=True):
        torch.testing.assert_close(one, other)
    assert taken == ["_LinearBackward", "AddmmBackward0"]


def test_gradients_that_a_rule_takes_on_its_own_are_counted():
    """A pass that keeps the activations may run a backward that never comes from the output."""
    model, x = mlp(), torch.randn(6, 8)
    net = gb.attach(model, "grape+refit", x)
    net.begin_epoch(1)
    F.cross_entropy(model(x), torch.arange(6) % 3).backward()
    assert net.counts.hidden == 3
