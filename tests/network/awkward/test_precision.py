"""Mixed precision: hidden gradients in the low precision, scaled with the loss."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from tests.network.awkward.comparison import RULES, X, assert_same, attach, expected_of, gradients, vit
from tests.network.problems import loss_of


def cnn():
    torch.manual_seed(0)
    widths = (3, 8, 8, 8)
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Conv2d(a, b, 3), nn.BatchNorm2d(b), nn.Tanh())]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))


def autocast(model, dtype, scale=1.0):
    """The gradients, divided by the scale of the loss."""
    with torch.autocast("cpu", dtype=dtype):
        loss = loss_of(model(X))
    (scale * loss).backward()
    return {name: p.grad / scale for name, p in model.named_parameters()}


@pytest.mark.parametrize("make", [vit, cnn])
@pytest.mark.parametrize("rule", RULES)
def test_bfloat16_gives_the_gradients_to_its_precision(rule, make):
    """Those of a bias before BatchNorm are zero but for rounding."""
    model = make()
    attach(model, rule)
    found, expected = autocast(model, torch.bfloat16), expected_of(rule, make)
    cancelled = {f"{index}.bias" for index in (0, 3, 6)} if make is cnn else set()
    for name in cancelled:
        assert found.pop(name).norm() < 0.01 and expected.pop(name).norm() < 1e-5
    assert_same(found, expected, tolerance=0.08)


@pytest.mark.parametrize("rule", RULES)
def test_a_gradient_scaler_scales_hidden_gradients_and_takes_it_back(rule):
    """In float16 the loss is scaled by 2^12; the gradients are those of float32, to the precision of float16."""
    model = vit()
    attach(model, rule)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=4096.0)
    with torch.autocast("cpu", dtype=torch.float16):
        loss = loss_of(model(X))
    scaler.scale(loss).backward()
    expected = expected_of(rule)
    assert_same({n: p.grad for n, p in model.named_parameters()}, {n: 4096 * g for n, g in expected.items()}, 0.01)
    scaler.unscale_(optimizer)
    assert_same({n: p.grad for n, p in model.named_parameters()}, expected, 0.01)


@pytest.mark.parametrize("rule", RULES)
def test_an_overflow_reaches_the_scaler_and_skips_the_step(rule):
    model = vit()
    attach(model, rule)
    before = model.head.weight.detach().clone(), model.blocks[0].mlp.fc1.weight.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    scaler.scale(1e6 * loss_of(model(X))).backward()
    assert not model.blocks[0].mlp.fc1.weight.grad.isfinite().all()
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(before[0], model.head.weight) and torch.equal(before[1], model.blocks[0].mlp.fc1.weight)
    assert scaler.get_scale() == 2.0**126


def test_feedback_stands_for_the_weight_that_autocast_has_cast():
    """With B = W feedback alignment is backpropagation, in bfloat16 to the bit; with another B it is not."""
    found = {}
    for rule in ("bp", "fa"):
        model = vit()
        net = attach(model, rule)
        if rule == "fa":
            found["random"] = autocast(model, torch.bfloat16)
            for module, name in net.weights:
                module.get_buffer(f"grape_bench_{name}_feedback").copy_(module.get_parameter(name))
            model.zero_grad()
        found[rule] = autocast(model, torch.bfloat16)
    assert all(torch.equal(found["fa"][name], gradient) for name, gradient in found["bp"].items())
    assert (found["random"]["patch_embed.proj.weight"] - found["bp"]["patch_embed.proj.weight"]).any()


def test_a_model_in_bfloat16():
    for rule in RULES:
        model = vit().bfloat16()
        attach(model, rule, X.bfloat16())
        assert_same({n: g.float() for n, g in gradients(model, X.bfloat16()).items()}, expected_of(rule), 0.1)
