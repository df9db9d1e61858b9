"""Between two steps a seam holds no part of a graph. So a model with a rule can be copied, saved and trained on."""

import copy
import gc
import io
from weakref import ref

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from grape_bench.attachment import attached
from grape_bench.rules.names import RULES
from tests.network.every_rule import NOT_FOR_AN_MLP
from tests.network.problems import tanh_mlp

X, Y = torch.randn(8, 6), torch.arange(8) % 4
OTHER_NETWORKS = pytest.mark.skip(reason="a rule for recurrent, graph or energy networks, attention or norms")
EVERY_RULE = [pytest.param(rule, marks=[OTHER_NETWORKS] if rule in NOT_FOR_AN_MLP else []) for rule in RULES]


def step(net):
    """The gradients of one step."""
    net.model.zero_grad()
    net.begin_epoch(1)
    net.step(X, lambda output: F.cross_entropy(output, Y), Y)
    return [parameter.grad for parameter in net.model.parameters()]


def through_a_file(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, through_a_file])
@pytest.mark.parametrize("rule", EVERY_RULE)
def test_a_copy_after_a_step_trains_as_the_model_does(rule, copied):
    net = gb.attach(tanh_mlp(), rule, X)
    step(net)
    twin = attached(copied(net.model))
    assert twin is not net
    for ours, theirs in zip(step(net), step(twin), strict=True):
        assert ours is theirs is None or torch.equal(ours, theirs)


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_no_graph_is_alive_after_a_step(rule):
    class Hook:
        """Lives as long as the node that it is registered at."""

        def __call__(self, gradient):
            pass

    hooks = []

    def watch(layer, inputs, output):
        if output.requires_grad:
            hook = Hook()
            output.register_hook(hook)
            hooks.append(ref(hook))

    net = gb.attach(tanh_mlp(), rule, X)
    net.model[0].register_forward_hook(watch)
    net.model[2].register_forward_hook(watch)
    step(net)
    gc.collect()
    assert hooks and not any(hook() for hook in hooks)


def test_an_activation_that_two_modules_read_is_not_kept_after_a_step():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.below, self.a, self.b, self.head = (nn.Linear(6, 6) for _ in range(4))

        def forward(self, x):
            h = torch.tanh(self.below(x))
            return self.head(torch.tanh(self.a(h)) * torch.sigmoid(self.b(h)))

    net = gb.attach(Gated(), "dfa", X)
    assert any(len(block.sites) > 1 for block in net.blocks)
    step(net)
    copy.deepcopy(net.model)  # possible only without results of a graph
