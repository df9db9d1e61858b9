"""What a pass counts, and what it refuses with a way out."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from grape_bench import UserError
from tests.network.problems import tanh_mlp


class Tokens(nn.Module):
    """A language model: ids (N, T) -> scores (N, T, 50) from features of width 16."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(16, 16), nn.Tanh()) for _ in range(3))
        self.head = nn.Linear(16, 50)

    def forward(self, ids):
        hidden = self.embed(ids)
        for layer in self.layers:
            hidden = layer(hidden)
        return self.head(hidden)


@pytest.mark.parametrize(("rule", "fraction"), [("bp", 1.0), ("dfa", 0.0), ("head-only", 0.0)])
def test_a_token_model_counts_every_backward(rule, fraction):
    """The error is taken before the unembedding, where head-only lets no gradient pass."""
    model, ids = Tokens(), torch.arange(12).reshape(3, 4)
    net = gb.attach(model, rule, ids)
    for _ in range(2):
        F.cross_entropy(model(ids).transpose(1, 2), ids).backward()
    assert net.bp_fraction == fraction and net.counts.backward == 2


@pytest.mark.parametrize(
    ("rule", "forwards", "backwards", "hidden"),
    [
        ("bp", 8, 8, 16),
        ("fa", 8, 8, 16),
        ("dfa", 8, 8, 0),
        ("head-only", 8, 8, 0),
        ("local", 8, 8, 0),
        ("grape", 16, 8, 0),
        ("grape-lazy", 9, 8, 0),
        ("fg", 16, 8, 0),
        ("wm", 16, 8, 16),
        ("grape+refit", 17, 8, 2),
        ("dfa+anchor", 8, 8, 2),
    ],
)
def test_passes_on_the_side_are_counted(rule, forwards, backwards, hidden):
    """Eight steps with two hidden blocks: GrAPE's refresh, a mirror phase and a fit are forwards too."""
    model, x = tanh_mlp(), torch.randn(8, 6)
    net = gb.attach(model, rule, x)
    net.begin_epoch(8)
    for _ in range(8):
        F.cross_entropy(model(x), torch.arange(8) % 4).backward()
    counts = net.counts
    assert (counts.steps, counts.forward, counts.backward, counts.hidden) == (8, forwards, backwards, hidden)


def squared_gradient(model, x):
    """A gradient penalty's second derivative."""
    loss = F.cross_entropy(model(x), torch.arange(4))
    (gradient,) = torch.autograd.grad(loss, [model[-1].weight], create_graph=True)
    gradient.pow(2).sum().backward()


@pytest.mark.parametrize("rule", ["dfa", "grape", "drtp", "fg", "local"])
def test_second_derivatives_are_refused_with_a_way_out(rule):
    model, x = tanh_mlp(), torch.randn(4, 6)
    net = gb.attach(model, rule, x)
    with pytest.raises(UserError, match=r"no second derivative.*create_graph=True") as caught:
        squared_gradient(model, x)
    assert "deep copy" in caught.value.hint and "bp" in caught.value.hint
    other = copy.deepcopy(model)  # the way out
    from grape_bench.attachment import attached

    attached(other).detach()
    squared_gradient(other, x)
    assert other[0].weight.grad is not None and net.blocks


def test_create_graph_alone_changes_no_gradient():
    model, x = tanh_mlp(), torch.randn(4, 6)
    gb.attach(model, "dfa", x)
    found = [
        torch.autograd.grad(F.cross_entropy(model(x), torch.arange(4)), list(model.parameters()), create_graph=graph)
        for graph in (False, True)
    ]
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_a_larger_picture_than_the_example_is_refused_with_a_way_out():
    def cnn():
        layers = [nn.Sequential(nn.Conv2d(width, 8, 3, padding=1), nn.ReLU()) for width in (3, 8, 8)]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))

    model, larger = cnn(), torch.randn(2, 3, 16, 16)
    gb.attach(model, "dfa", torch.randn(2, 3, 8, 8))
    with pytest.raises(UserError, match=r"another shape than \(2, 8, 16, 16\)") as caught:
        model(larger).sum().backward()
    assert 'feedback = "per-channel"' in caught.value.hint
    model = cnn()
    gb.attach(model, gb.make_rule("dfa", feedback="per-channel"), torch.randn(2, 3, 8, 8))
    model(larger).sum().backward()
    assert model[0][0].weight.grad.isfinite().all()


class Graph:
    """An object with attributes, as a graph library's batch is."""

    def __init__(self):
        self.x = torch.randn(4, 6)


@pytest.mark.parametrize("example", [((torch.randn(4, 6),), {}), {torch.randn(4, 6)}, "a text", Graph()], ids=type)
def test_an_example_that_the_model_cannot_take_says_what_one_may_be(example):
    """((args), {kwargs}) is two positional arguments, and this model takes one tensor."""
    with pytest.raises(UserError, match="Sequential cannot run on this example") as caught:
        gb.attach(tanh_mlp(), "dfa", example)
    assert caught.value.allowed == "a tensor, a tuple of positional arguments, or a dict of keyword arguments"
