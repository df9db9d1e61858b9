"""Models that leave out layers: blocks are those of the whole network, and no gradient goes around a cut."""

import random

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from grape_bench.network.lean import lean_step

X, Y = torch.randn(8, 8, generator=torch.Generator().manual_seed(1)), torch.arange(8) % 5


class Stochastic(nn.Module):
    """`skip` names the layers that a training forward leaves out; None draws them."""

    def __init__(self, skip: set[int] | None = None) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(8, 16), nn.Linear(16, 5)
        self.layers = nn.ModuleList([nn.Sequential(nn.Linear(16, 16), nn.ReLU()) for _ in range(4)])
        self.skip = skip

    def forward(self, x):
        x = F.relu(self.first(x))
        for index, layer in enumerate(self.layers):
            out = self.training and (index in self.skip if self.skip is not None else random.random() < 0.5)
            x = x if out else layer(x)
        return self.head(x)


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    model.zero_grad()
    F.cross_entropy(model(X), Y).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("skip", [set(), {0}, {2, 3}, {0, 1, 2, 3}])
def test_blocks_are_those_of_the_whole_network_and_the_model_stays_in_training_mode(skip):
    model = Stochastic(skip)
    net = gb.attach(model, "dfa", X)
    whole = gb.attach(Stochastic(set()), "dfa", X)
    assert [block.name for block in net.blocks] == [block.name for block in whole.blocks]
    assert net.report() == whole.report()
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("rule", ["dfa", "drtp", "grape", "local", "head-only", "fg"])
@pytest.mark.parametrize("left_out", [{0, 1}, {3}, {2, 3}, {0, 1, 2, 3}])
def test_no_hidden_weight_gets_backpropagation_s_gradient(rule, left_out):
    torch.manual_seed(0)
    model = Stochastic({2, 3})
    net = gb.attach(model, rule, X)
    model.skip = left_out
    own = gradients(model)
    assert net.bp_fraction == 0 or len(left_out) == 4, net.bp_fraction
    assert net.counts.absent == len(left_out)
    net.detach()
    exact = gradients(model)
    for name, gradient in own.items():
        if name.startswith("head"):
            assert torch.allclose(gradient, exact[name], atol=1e-6)
        elif exact[name].abs().max() > 0:
            assert not torch.allclose(gradient, exact[name], atol=1e-7), name


class Between(Stochastic):
    """A layer of its own before each droppable layer."""

    def __init__(self, skip: set[int] | None = None) -> None:
        super().__init__(skip)
        self.before = nn.ModuleList([nn.Linear(16, 16) for _ in range(4)])

    def forward(self, x):
        x = F.relu(self.first(x))
        for index, layer in enumerate(self.layers):
            x = torch.tanh(self.before[index](x))
            x = x if self.training and self.skip and index in self.skip else layer(x)
        return self.head(x)


@pytest.mark.parametrize("rule", ["dfa", "head-only"])
def test_a_detour_is_closed_and_counted(rule):
    torch.manual_seed(0)
    model = Between()
    net = gb.attach(model, rule, X, blocks=["layers.*"])
    model.skip = {3}
    own = gradients(model)
    assert own["before.3.weight"].abs().max() == 0, "the layer between the last two cuts, of which one is missing"
    assert own["head.weight"].abs().max() > 0
    assert net.counts.detours == 1 and net.counts.absent == 1 and net.bp_fraction == 0
    assert (own["layers.0.0.weight"].abs().max() > 0) if rule == "dfa" else "layers.0.0.weight" not in own
    model.skip = {0}
    gradients(model)
    assert net.counts.detours == 1, "the last cut is there, so nothing goes around"


def test_a_lean_step_closes_the_detour_too():
    torch.manual_seed(0)
    model = Between()
    net = gb.attach(model, "dfa", X, blocks=["layers.*"])
    model.skip = {3}
    before = model.before[3].weight.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    lean_step(net, ((X,), {}), lambda output: F.cross_entropy(output, Y), optimizer)
    assert torch.equal(model.before[3].weight, before)


def test_backpropagation_counts_the_blocks_that_ran():
    model = Stochastic({1, 2})
    net = gb.attach(model, "bp", X)
    gradients(model)
    assert net.bp_fraction == 1 and net.counts.hidden == 2


def test_the_count_is_part_of_the_state():
    net, other = (gb.attach(Stochastic({0, 1}), "bp", X) for _ in range(2))
    gradients(net.model)
    other.load_state_dict(net.state_dict())
    assert other.bp_fraction == net.bp_fraction == 1


class Tied(Stochastic):
    """A language model whose head shares its weight with the embedding."""

    def __init__(self, skip: set[int] | None = None) -> None:
        super().__init__(skip)
        self.first, self.head = nn.Embedding(40, 16), nn.Linear(16, 40, bias=False)
        self.head.weight = self.first.weight


def test_a_tied_embedding_gets_its_gradient_from_the_head_alone():
    torch.manual_seed(0)
    model, ids = Tied(), torch.arange(6).reshape(2, 3)
    model.skip = set()
    gb.attach(model, "dfa", ids)
    model.skip = {0, 1, 2, 3}
    model(ids).sum().backward()
    features = F.relu(model.first(ids)).detach()
    assert torch.allclose(model.first.weight.grad, features.sum((0, 1)).expand(40, 16), atol=1e-6)


class Grown(nn.Module):
    """Calls its first `depth` layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(5)])
        self.head, self.depth = nn.Linear(8, 5), 3

    def forward(self, x):
        for layer in self.layers[: self.depth]:
            x = F.relu(layer(x))
        return self.head(x)


@pytest.mark.parametrize("rule", ["dfa", "fa", "head-only", "fg"])
def test_a_layer_that_the_example_did_not_call_is_refused_in_training(rule):
    """No cut lies above it, so it would get backpropagation's gradient."""
    model = Grown()
    gb.attach(model, rule, X)
    gradients(model)
    model.depth = 4
    with pytest.raises(gb.UserError, match=r"'layers.3' was not called with the example"):
        model(X)
    with torch.no_grad():
        assert model(X).shape == (8, 5)
    model.layers[3].requires_grad_(False)
    gradients(model)


def test_backpropagation_takes_any_layer():
    model = Grown()
    gb.attach(model, "bp", X)
    model.depth = 5
    assert "layers.4.weight" in gradients(model)
