"""The bytes of live tensors, against sums by hand."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from grape_bench.cost.live import LiveTensors
from grape_bench.job.profile import profile
from grape_bench.job.setup import load_data, pick_device
from tests.job.jobs import job

KIB = 1024  # bytes of a tensor of 256 floats


def test_tensors_count_while_they_are_alive():
    before = torch.ones(256)
    with LiveTensors() as live:
        a = before + 1
        b = a.view(16, 16).t()  # a view
        a.mul_(2)
        before.add_(1)  # from before the block
        assert (live.now, live.peak) == (KIB, KIB)
        c = torch.cat([a, a])
        assert live.now == 3 * KIB
        del c
        assert (live.now, live.peak) == (KIB, 3 * KIB)
        del a, b
        assert live.now == 0


def test_activations_live_until_the_backward_has_read_them():
    layers = nn.Sequential(*(nn.Linear(64, 64, bias=False) for _ in range(4)))
    x = torch.randn(64, 64)
    with LiveTensors() as live:
        out = layers(x).sum()
        forward = live.now
        out.backward()
    assert forward == 3 * 16 * KIB + 4, "three hidden outputs of 64 x 64 floats, and the sum"
    assert live.now == 4 * 16 * KIB + 4, "four gradients, and the sum"


def test_a_network_that_recomputes_its_activations_holds_fewer():
    from torch.utils.checkpoint import checkpoint

    blocks = nn.ModuleList(nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()) for _ in range(6))
    x = torch.randn(512, 64, requires_grad=True)

    def peak(run):
        with LiveTensors() as live:
            out = x
            for block in blocks:
                out = run(block, out)
            out.sum().backward()
        return live.peak

    plain = peak(lambda block, out: block(out))
    assert peak(lambda block, out: checkpoint(block, out, use_reentrant=False)) < 0.7 * plain


@pytest.mark.parametrize("rule", ["bp", "dfa", "fa", "grape"])
def test_a_profile_measures_the_rule_next_to_backpropagation(rule):
    spec = job(rule, model_args={"hidden": [256, 256]}, batch_size=256)
    live = profile(spec, load_data(spec, pick_device()))["live"]
    weights = 4 * (64 * 256 + 256 + 256 * 256 + 256 + 256 * 10 + 10)
    activations = 4 * 256 * (2 * 256 + 10)
    assert live["bp_live_bytes"] == pytest.approx(3 * weights + 2 * activations, rel=0.5)
    assert (live["live_bytes"] == live["bp_live_bytes"]) is (rule == "bp")
    if rule == "fa":
        assert live["live_bytes"] > live["bp_live_bytes"] + 0.9 * weights, "a B for every weight"


def test_the_count_is_the_same_every_time():
    spec = job("dfa", epochs=1)
    first, second = (profile(spec, load_data(spec, pick_device()))["live"] for _ in range(2))
    assert first == second


def test_every_kind_of_rule_can_be_counted():
    for rule in ("grape-lazy", "drtp", "local", "fg", "kp"):
        model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 5))
        x, y = torch.randn(4, 8), torch.arange(4)
        network = gb.attach(model, rule, x)
        with LiveTensors() as live:
            network.step(x, partial(F.cross_entropy, target=y), target=y)
        assert live.peak > 0
