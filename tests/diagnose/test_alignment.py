"""Cosines of signals and gradients where they are known."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from grape_bench.diagnose.alignment import Alignment, Null
from grape_bench.diagnose.comparison import Comparison
from grape_bench.diagnose.gradient import Gradients
from grape_bench.record.table import HIDDEN
from tests.diagnose.networks import (
    Loop,
    attached,
    jacobians,
    linear_network,
    measured,
    measured_on,
    noisy_network,
    set_feedback,
)


def alignment(net, **options):
    return measured(net, lambda net, _: Alignment(net), **options)


def gradients(net, **options):
    return measured(net, lambda net, _: Gradients(net), **options)


def test_parts_add_up_and_zero_has_no_direction():
    a, b = torch.randn(10), torch.randn(10)
    parts = Comparison.of(a[:4], b[:4]) + Comparison.of(a[4:], b[4:])
    assert parts.cosine == pytest.approx(torch.cosine_similarity(a, b, dim=0).item(), rel=1e-5)
    assert Comparison.of(3 * b, b).ratio == pytest.approx(3)
    assert math.isnan(Comparison.of(torch.zeros(10), b).cosine) and Comparison.of(None, b).ratio == 0
    assert math.isnan(Comparison.of(a, None).ratio)


def test_backpropagation_aligns_with_itself_under_dropout_and_batchnorm():
    net = attached(noisy_network(), "bp")
    for row in alignment(net, batches=3).values():
        assert row["signal_cos"] == pytest.approx(1) and row["signal_ratio"] == pytest.approx(1)
    for row in gradients(net, batches=3).values():
        assert row["gradient_cos"] == pytest.approx(1)


def test_a_rule_that_is_backpropagation_in_disguise_has_cosine_one():
    """On a linear network direct feedback with B = J is backpropagation."""
    model = linear_network(8, 12, 10, 5)
    net = attached(model)
    set_feedback(net, jacobians(model))
    signals, updates = alignment(net, batches=2), gradients(net, batches=2)
    for block in net.blocks:
        assert signals[block.name]["signal_cos"] == pytest.approx(1, abs=1e-6)
        assert signals[block.name]["signal_ratio"] == pytest.approx(1, abs=1e-5)
        assert updates[block.name]["gradient_cos"] == pytest.approx(1, abs=1e-6)
    set_feedback(net, {name: -2 * J for name, J in jacobians(model).items()})
    for row in alignment(net).values():
        assert row["signal_cos"] == pytest.approx(-1, abs=1e-6) and row["signal_ratio"] == pytest.approx(2, abs=1e-5)


def test_head_only_has_no_signal():
    net = attached(noisy_network(), "head-only")
    for row in alignment(net, batches=2).values():
        assert math.isnan(row["signal_cos"]) and row["signal_ratio"] == 0 and row["signal_zeros"] == 32
    found = gradients(net)
    assert math.isnan(found[HIDDEN]["gradient_cos"]) and found[HIDDEN]["gradient_norm"] > 0


def test_one_call_measures_a_network_of_ones_own_and_changes_nothing():
    x, y = torch.randn(16, 8), torch.arange(16) % 5
    model = linear_network(8, 12, 10, 5)
    net = gb.attach(model, "grape+anchor", x, seed=1)
    net.begin_epoch(4)
    before = copy.deepcopy(net.state_dict())
    found = gb.alignment(net, [(x[:8], y[:8]), ((x[8:],), y[8:])], F.cross_entropy)
    assert list(found) == [block.name for block in net.blocks] and all(-1 <= value <= 1 for value in found.values())
    assert all(map(torch.equal, before["model"].values(), net.state_dict()["model"].values()))
    assert all(before[part] == net.state_dict()[part] for part in ("rule", "counts"))
    assert all(parameter.grad is None for parameter in net.parameters())
    set_feedback(net, jacobians(model))
    for value in gb.alignment(net, [(x, y)], F.cross_entropy).values():
        assert value == pytest.approx(1, abs=1e-6)


def test_the_gain_falls_to_the_floor_before_a_layernorm_of_huge_activations():
    """The derivative of LayerNorm goes with one over the size of its input."""

    def gain(size):
        torch.manual_seed(0)
        model = nn.Sequential(*(nn.Linear(16, 16, bias=False) for _ in range(2)), nn.LayerNorm(16), nn.Linear(16, 4))
        with torch.no_grad():
            model[0].weight.copy_(size * torch.eye(16))
            model[1].weight.copy_(torch.eye(16))
        net = attached(model, "bp", blocks=["0"])
        return alignment(net)["0"]["gain"]

    ordinary, huge = gain(1), gain(1e9)
    assert ordinary > 0.01 and huge < 1e-7
    assert huge == pytest.approx(ordinary / 1e9, rel=0.01)


def test_the_gain_does_not_depend_on_the_size_of_the_loss():
    model = linear_network(8, 12, 5)
    for row in alignment(attached(model, "bp")).values():
        assert 0.1 * row["gain"] < torch.linalg.matrix_norm(model[1].weight, 2) and row["gain"] > 0.05


def test_a_block_that_is_frozen_with_all_below_it_has_no_gain_and_no_random_cosine():
    """Its gradient is not computed. A gain of zero would be that of a gradient that vanishes."""
    model = linear_network(8, 12, 10, 5)
    model[0].requires_grad_(False)
    net = attached(model)
    frozen, trained = alignment(net).values()
    assert math.isnan(frozen["signal_cos"]) and math.isnan(frozen["gain"]) and trained["gain"] > 0
    assert list(measured(net, lambda net, _: Null(net))) == [net.blocks[1].name]


def test_a_random_signal_in_a_loop_is_made_from_the_error_of_the_step_that_is_read():
    """With one unit and one output, it is dL/dh of the last step times a number. No other step's error gives that."""
    net = gb.attach(Loop(3, 1, 1), "bp", x := torch.randn(16, 5, 3))
    assert [(block.calls, block.timed) for block in net.blocks] == [(5, True)]
    targets = torch.randn(16, 5, 1)
    found = measured_on([(x, lambda output: F.mse_loss(output, targets))], net, lambda net, _: Null(net))
    assert found["cell"]["null_cos"] == pytest.approx(1)
