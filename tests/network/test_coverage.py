"""The sweep over architectures; docs/coverage.md is its table and names what does not hold."""

import gc
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.architectures import ARCHITECTURES, Architecture
from benchmarks.coverage import REASON, ROW
from benchmarks.examination import examine
from tests.network.problems import tanh_mlp

PAGE = (Path(__file__).parents[2] / "docs" / "coverage.md").read_text()
NAMED = {match[1] for match in REASON.finditer(PAGE)}


@pytest.fixture
def frequent_collections() -> Iterator[None]:
    """Python's own threshold. tests/conftest.py makes collections rare, and each test attaches many rules."""
    rare = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*rare)


@pytest.mark.sweep
@pytest.mark.usefixtures("frequent_collections")
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_everything_holds_but_for_what_is_named(architecture):
    findings = examine(architecture)
    if architecture.name in NAMED:
        assert findings.failures, "named in docs/coverage.md as not holding, but it holds"
    else:
        assert findings.failures == []


def test_the_sweep_is_wide_and_its_failures_are_few():
    names = [architecture.name for architecture in ARCHITECTURES]
    assert len(set(names)) == len(names)
    assert sum(name.startswith("timm") for name in names) >= 80
    assert sum(name.startswith("transformers") for name in names) >= 25
    assert len(NAMED) <= 0.03 * len(names)


def test_the_page_has_a_row_for_every_architecture():
    assert {match[1] for match in ROW.finditer(PAGE)} == {architecture.name for architecture in ARCHITECTURES}


def examined(make, **options):
    return examine(Architecture("broken", make, lambda: torch.randn(4, 6), **options))


def test_a_sound_model_passes():
    findings = examined(tanh_mlp)
    assert findings.failures == [] and findings.tangent < 1e-7
    assert (findings.blocks, findings.layers, findings.oracle, findings.feedback) == (2, 2, 0, 0)


class Forgetful(nn.Module):
    """Every forward is another one. The count is on the class, where it cannot be restored."""

    calls = count(1)

    def __init__(self):
        super().__init__()
        self.mlp = tanh_mlp()

    def forward(self, x):
        return self.mlp(x) * next(self.calls)


class WrongDerivative(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sin()

    @staticmethod
    def backward(ctx, gradient):
        return gradient

    @staticmethod
    def jvp(ctx, tangent):
        return tangent


class OtherTangent(WrongDerivative):
    @staticmethod
    def jvp(ctx, tangent):
        return 2 * tangent


class Wrong(nn.Module):
    def forward(self, x):
        return WrongDerivative.apply(x)


class Inconsistent(nn.Module):
    def forward(self, x):
        return OtherTangent.apply(x)


class Endless(nn.Module):
    """Infinite derivatives."""

    def forward(self, x):
        return (x * 0).abs().sqrt() + x


def ending_in(layer):
    return lambda: nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 5), nn.Tanh(), layer(), nn.Linear(5, 3))


def test_the_tangent_of_a_surrogate_is_compared_with_its_backward():
    assert examined(ending_in(Wrong), surrogate=True).failures == []
    assert examined(ending_in(Inconsistent), surrogate=True).failures == ["tangent: no adjoint of the backward pass"]


@pytest.mark.parametrize(
    ("layer", "failure"),
    [(Wrong, "tangent: no finite difference"), (Endless, "oracle: relative error nan")],
)
def test_the_examination_can_fail(layer, failure):
    assert failure in "; ".join(examined(ending_in(layer)).failures)


def test_a_model_that_is_never_the_same_fails():
    assert "gives another output when a forward is repeated" in "; ".join(examined(Forgetful).failures)
