"""Every rule on PyTorch's meta device: tensors with shapes and without numbers, as in a check before training."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import grape_bench as gb
from tests.network.every_rule import CASES, EVERY_RULE, MODELS, NOT_FOR_AN_MLP

META = torch.device("meta")


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_step_has_shapes_and_stays_on_meta(name, kind):
    rule, (make, batch) = EVERY_RULE[name], MODELS[kind]
    model, inputs = make().train().to(META), batch().to(META)
    net = gb.attach(model, copy.deepcopy(rule), inputs)
    net.begin_epoch(batches=2)
    target = torch.zeros(len(inputs), dtype=torch.long, device=META)
    for _ in range(2):
        net.step(inputs, lambda output: cross_entropy(output, target), target)

    assert {name: buffer.device for name, buffer in model.named_buffers() if buffer.device != META} == {}
    trained = {name for name, credit in net.report().items() if credit != "frozen"}
    for name, parameter in (*model.named_parameters(), *net.owned.named_parameters()):
        if name in trained:
            assert (parameter.grad.device, parameter.grad.shape) == (META, parameter.shape), name


@pytest.mark.parametrize("rule", [rule for name, rule in EVERY_RULE.items() if name not in NOT_FOR_AN_MLP], ids=str)
def test_a_model_with_a_rule_moves_to_meta_and_takes_another_state(rule):
    make, batch = MODELS["mlp"]
    model, inputs = make().train(), batch()
    net = gb.attach(model, copy.deepcopy(rule), inputs)
    model.to(META)
    net.load_state_dict(net.state_dict())
    net.begin_epoch(batches=2)
    target = torch.zeros(len(inputs), dtype=torch.long, device=META)
    net.step(inputs.to(META), lambda output: cross_entropy(output, target), target)
    assert {parameter.grad.device for parameter in net.parameters() if parameter.grad is not None} == {META}


class Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient / (1 + x.abs()) ** 2


class Total(torch.autograd.Function):
    """Other sizes of input and output: its derivative is that of its operations."""

    @staticmethod
    def forward(ctx, x):
        return x.sum(1, keepdim=True)

    @staticmethod
    def backward(ctx, gradient):
        return gradient.expand(-1, 7)


class Spiking(nn.Module):
    def forward(self, x):
        return Spike.apply(x) * Total.apply(x)


@pytest.mark.parametrize("rule", ["grape", "fg"])
def test_custom_functions_carry_tangents_by_their_shapes(rule):
    model = nn.Sequential(nn.Linear(6, 7), Spiking(), nn.Linear(7, 7), Spiking(), nn.Linear(7, 4)).to(META)
    inputs = torch.randn(8, 6, device=META)
    gb.attach(model, rule, inputs)
    model(inputs).sum().backward()
    assert {parameter.grad.device for parameter in model.parameters()} == {META}
