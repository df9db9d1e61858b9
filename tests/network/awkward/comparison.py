"""Gradients through an awkward case against those of the same rule without it."""

import torch

import grape_bench as gb
from grape_bench.rules.make import make_rule
from tests.network.problems import BY_NAME, loss_of

RULES = ["bp", "fa", "dfa", "grape"]
X = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def vit():
    torch.manual_seed(0)
    return BY_NAME["vit"].model().train()


def resnet():
    torch.manual_seed(0)
    return BY_NAME["resnet18"].model().train()


def attach(model, rule, x=X):
    """The rule on the model; GrAPE refreshes its feedback at every forward, so that one too many is seen."""
    return gb.attach(model, make_rule(rule, **({"refresh": 1} if rule == "grape" else {})), x, seed=1)


def gradients(model, x=X, call=None):
    """One backward of `call` (the model itself where there is none); the gradients that the parameters got."""
    model.zero_grad()
    loss_of((model if call is None else call)(x)).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def expected_of(rule, make=vit, x=X):
    """The gradients of the rule on a plain model."""
    model = make()
    attach(model, rule, x)
    return gradients(model, x)


def assert_same(found, expected, tolerance=1e-5):
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= tolerance * gradient.norm() + 1e-9, name
