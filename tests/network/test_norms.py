"""Normalization of dual numbers: PyTorch's own tangents, bit for bit, with fewer operations."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import forward_ad

from grape_bench.network import norms
from grape_bench.network.custom_tangents import Tangents
from grape_bench.network.tangents import _Derivatives
from tests.launches import Launches

X = {"rows": (6, 5), "images": (4, 5, 3, 3), "tokens": (4, 7, 5)}
CASES = {
    "layer": (lambda: nn.LayerNorm(5), "tokens"),
    "layer without weights": (lambda: nn.LayerNorm((7, 5), elementwise_affine=False), "tokens"),
    "batch": (lambda: nn.BatchNorm2d(5), "images"),
    "batch of rows without weights": (lambda: nn.BatchNorm1d(5, affine=False), "rows"),
    "batch without statistics": (lambda: nn.BatchNorm2d(5, track_running_stats=False), "images"),
    "batch in evaluation": (lambda: nn.BatchNorm2d(5).eval(), "images"),
}


def made(case):
    make, kind = CASES[case]
    norm = make()
    for tensor in norm.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 2)
    return norm, torch.randn(X[kind]), torch.randn(X[kind])


def moved(norm, x, direction, mode=None):
    with torch.no_grad(), forward_ad.dual_level():
        dual = forward_ad.make_dual(x, direction)
        with mode or torch.no_grad():
            return forward_ad.unpack_dual(norm(dual))


@pytest.mark.parametrize("case", CASES)
def test_output_tangent_and_statistics_are_those_of_pytorch_to_the_bit(case):
    norm, x, direction = made(case)
    twin = copy.deepcopy(norm)
    found, expected = moved(norm, x, direction, _Derivatives(Tangents())), moved(twin, x, direction)
    assert torch.equal(found.primal, expected.primal)
    assert torch.equal(found.tangent, expected.tangent)
    assert all(torch.equal(a, b) for a, b in zip(norm.buffers(), twin.buffers(), strict=True))


@pytest.mark.parametrize("case", ["layer", "batch"])
def test_a_third_of_the_operations_is_saved(case):
    counts = []
    for mode in (None, _Derivatives(Tangents())):
        norm, x, direction = made(case)
        with Launches() as launches:
            moved(norm, x, direction, mode)
        counts.append(launches.total)
    assert counts[1] <= 2 / 3 * counts[0]


def test_a_tangent_of_the_weight_is_left_to_pytorch():
    x, weight = torch.randn(4, 5), torch.ones(5)
    norm = partial(F.layer_norm, x, (5,))
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(weight, torch.randn(5))
        still = forward_ad.make_dual(x, torch.randn(4, 5))
        assert norms.derivative_of(F.layer_norm, (still, (5,), dual), {}) is None
        assert norms.derivative_of(F.layer_norm, (still, (5,), weight), {}) is not None
        assert norms.derivative_of(F.layer_norm, (x, (5,), weight), {}) is None  # nothing moves
        with _Derivatives(Tangents()):
            assert forward_ad.unpack_dual(norm(weight=dual)).tangent is not None
