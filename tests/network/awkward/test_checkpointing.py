"""Activation checkpointing: the same gradients, or an error."""

import pytest
import timm.layers
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import grape_bench as gb
from grape_bench import UserError
from tests.network.awkward.comparison import RULES, X, assert_same, attach, expected_of, gradients, vit
from tests.network.problems import BY_NAME, loss_of


class Stages(nn.Module):
    """Three square layers in one checkpoint, on as many samples: every tensor that autograd saves looks alike."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))
        self.head = nn.Linear(6, 3)
        self.checkpointing = False

    def stage(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

    def forward(self, x):
        return self.head(checkpoint(self.stage, x, use_reentrant=False) if self.checkpointing else self.stage(x))


@pytest.mark.parametrize("rule", RULES)
def test_in_timm(rule):
    model = vit()
    model.set_grad_checkpointing(True)
    attach(model, rule)
    assert_same(gradients(model), expected_of(rule))


@pytest.mark.parametrize("name", ["gpt2", "bert"])
@pytest.mark.parametrize("rule", RULES)
def test_in_transformers(rule, name):
    problem, found = BY_NAME[name], []
    batch = problem.batch()
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = problem.model().train()  # with dropout
        if checkpointing:
            model.gradient_checkpointing_enable()
        attach(model, rule, batch)
        torch.manual_seed(1)
        found.append(gradients(model, batch, lambda batch: model(**batch)))  # noqa: B023
    assert_same(found[1], found[0])


@pytest.mark.parametrize("rule", [*RULES, "head-only"])
def test_around_several_blocks(rule):
    """The second run of a stage is cut where the first was; else a weight is taken for an activation."""
    x, model = torch.randn(6, 6), Stages()
    attach(model, rule, x)
    model.checkpointing = True
    assert_same(gradients(model, x), expected_of(rule, Stages, x))


@pytest.mark.parametrize("rule", RULES)
def test_around_the_model(rule):
    """The second run is not another training step: GrAPE's feedback stays."""
    model = vit()
    net = attach(model, rule)
    found = gradients(model, call=lambda x: checkpoint(model, x, use_reentrant=False))
    assert_same(found, expected_of(rule))
    assert net.counts.backward == 1


def test_around_the_loss_is_refused():
    model, x = vit(), X.clone().requires_grad_()
    attach(model, "dfa")
    loss = checkpoint(lambda x: loss_of(model(x)), x, use_reentrant=False)
    with pytest.raises(UserError, match="compute the loss outside of the checkpoint"):
        loss.backward()


@pytest.mark.parametrize("rule", RULES)
def test_reentrant_checkpoints_are_refused(rule):
    """They show autograd no block until the backward pass, which would be backpropagation without a word."""
    model = vit()
    attach(model, rule)
    model.set_grad_checkpointing(True)
    timm.layers.set_reentrant_ckpt(True)
    try:
        with pytest.raises(UserError, match="reentrant activation checkpointing hides"):
            model(X)
        with pytest.raises(UserError, match="reentrant activation checkpointing hides"):
            gb.attach(vit_checkpointed(), rule, X)
    finally:
        timm.layers.set_reentrant_ckpt(False)


def vit_checkpointed():
    model = vit()
    model.set_grad_checkpointing(True)
    return model
