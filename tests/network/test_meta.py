"""Every rule on PyTorch's meta device: tensors with shapes and without numbers, as in a check before training."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

import grape_bench as gb
from tests.network.every_rule import EVERY_RULE, MODELS

META = torch.device("meta")


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("rule", EVERY_RULE.values(), ids=EVERY_RULE)
def test_a_step_has_shapes_and_stays_on_meta(rule, kind):
    make, batch = MODELS[kind]
    model, inputs = make().train().to(META), batch().to(META)
    net = gb.attach(model, copy.deepcopy(rule), inputs)
    net.begin_epoch(batches=2)
    for _ in range(2):
        cross_entropy(model(inputs), torch.zeros(len(inputs), dtype=torch.long, device=META)).backward()

    assert {name: buffer.device for name, buffer in model.named_buffers() if buffer.device != META} == {}
    trained = {name for name, credit in net.report().items() if credit != "frozen"}
    for name, parameter in model.named_parameters():
        if name in trained:
            assert (parameter.grad.device, parameter.grad.shape) == (META, parameter.shape), name


@pytest.mark.parametrize("rule", EVERY_RULE.values(), ids=EVERY_RULE)
def test_a_model_with_a_rule_moves_to_meta_and_takes_another_state(rule):
    make, batch = MODELS["mlp"]
    model, inputs = make().train(), batch()
    net = gb.attach(model, copy.deepcopy(rule), inputs)
    model.to(META)
    net.load_state_dict(net.state_dict())
    net.begin_epoch(batches=1)
    cross_entropy(model(inputs.to(META)), torch.zeros(len(inputs), dtype=torch.long, device=META)).backward()
    assert {parameter.grad.device for parameter in model.parameters() if parameter.grad is not None} == {META}
