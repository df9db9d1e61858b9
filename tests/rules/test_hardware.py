"""The limits of a device, each against its formula, and together with any direct rule."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import grape_bench as gb
from grape_bench import UserError
from grape_bench.contract.cases import CASES
from grape_bench.contract.check import check_rule
from grape_bench.network.network import Network
from grape_bench.rules.feedback import FEEDBACK
from grape_bench.rules.hardware import quantized
from tests.network.problems import tanh_mlp

X, Y = torch.randn(12, 6, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 4
ERROR = torch.tensor([[1.0, -0.4, 0.6, 0.0], [0.2, 0.1, -0.05, 0.0]])


def attached(rule: str = "dfa", **settings: Any) -> Network:
    torch.manual_seed(0)
    return gb.attach(tanh_mlp(), gb.make_rule(rule, **settings), X)


def signal(net: Network, error: Tensor = ERROR) -> tuple[Tensor, Tensor]:
    """What the first block gets for `error`, and its exact B."""
    block = net.blocks[0].at(torch.zeros(len(error), 7))
    return net.rule.project(error, block), net.blocks[0].load(FEEDBACK)


@pytest.mark.parametrize("settings", [{"error": "ternary"}, {"error_bits": 2}])
def test_a_ternary_error_is_plus_or_minus_the_largest_of_its_sample_or_zero(settings: dict[str, Any]) -> None:
    found, B = signal(attached(**settings))
    torch.testing.assert_close(found, torch.tensor([[1.0, 0, 1, 0], [0.2, 0.0, 0, 0]]) @ B)


def test_k_bits_have_as_many_levels_on_both_sides_of_zero() -> None:
    values = torch.linspace(-6, 6, 1000)
    assert sorted(set(quantized(values, 3, torch.tensor(6.0)).tolist())) == [-6, -4, -2, 0, 2, 4, 6]
    assert quantized(torch.tensor([2.7, 3.1]), 3, torch.tensor(6.0)).tolist() == [2, 4]
    assert quantized(torch.zeros(3), 2, torch.tensor(0.0)).tolist() == [0, 0, 0]


def test_a_ternary_b_has_three_values() -> None:
    found, B = signal(attached(feedback_bits=2), torch.eye(4))
    largest = B.abs().max()
    torch.testing.assert_close(found, (B / largest).round() * largest)
    assert len(set(found.flatten().tolist())) == 3


def test_read_out_noise_has_the_chosen_size() -> None:
    error = torch.randn(4000, 4)
    found, B = signal(attached(noise=0.1), error)
    exact = error @ B
    assert (found - exact).std() / exact.square().mean().sqrt() == pytest.approx(0.1, rel=0.03)


def test_dead_devices_are_zero_and_stay_dead() -> None:
    net = attached(dead=0.5)
    first, B = signal(net, torch.eye(4))
    assert torch.equal(first, signal(net, torch.eye(4))[0])
    dead = first == 0
    assert 0.2 < dead.float().mean() < 0.8 and torch.equal(first[~dead], B[~dead])


def test_entries_drift_as_a_power_of_the_steps() -> None:
    net = attached(drift=0.2)
    first, B = signal(net, torch.eye(4))
    torch.testing.assert_close(first, B)
    net.counts.steps = 100
    later, _ = signal(net, torch.eye(4))
    exponents = -(later / B).log() / math.log(100)
    torch.testing.assert_close(exponents, net.blocks[0].load("aging"))
    assert 0.1 < exponents.mean() < 0.3 and exponents.std() == pytest.approx(0.1, rel=0.5)


def test_without_limits_nothing_changes() -> None:
    exact = {"error": "exact", "error_bits": None, "feedback_bits": None, "noise": 0.0, "dead": 0.0, "drift": 0.0}
    assert torch.equal(signal(attached(**exact))[0], signal(attached())[0])


@pytest.mark.parametrize("rule", ["dfa", "drtp", "grape", "dfa+anchor", "grape+refit"])
def test_the_limits_combine_with_every_rule_that_keeps_its_b(rule: str) -> None:
    limits: dict[str, Any] = {"error": "ternary", "feedback_bits": 4, "noise": 0.1, "dead": 0.1, "drift": 0.05}
    exact, limited = attached(rule), attached(rule, **limits)
    for net in (exact, limited):
        net.begin_epoch(2)
        for _ in range(2):
            net.step(X, lambda output: F.cross_entropy(output, Y), Y)
    pairs = list(zip(exact.model.parameters(), limited.model.parameters(), strict=True))
    assert any(not torch.equal(one.grad, other.grad) for one, other in pairs)
    assert all(other.grad.isfinite().all() for _, other in pairs)


def test_the_contract_holds_on_a_device() -> None:
    limits: dict[str, Any] = {"error": "ternary", "feedback_bits": 4, "noise": 0.1, "dead": 0.1, "drift": 0.05}
    report = check_rule(lambda: gb.make_rule("dfa", **limits), CASES[:1])
    assert report.ok, "\n".join(map(str, report.failed))


@pytest.mark.parametrize(
    ("rule", "settings", "message"),
    [
        ("dfa", {"error": "binary"}, "error = 'binary' is not one of exact, ternary"),
        ("dfa", {"error": "ternary", "error_bits": 4}, "a ternary error has 2 bits"),
        ("dfa", {"feedback_bits": 1}, "2 bits at least"),
        ("dfa", {"dead": 1.0}, r"dead must be in \[0, 1\)"),
        ("fa", {"noise": 0.1}, "unknown setting 'noise'"),
        ("local", {"noise": 0.1}, "unknown setting 'noise'"),
    ],
)
def test_limits_that_make_no_sense_are_refused(rule: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        gb.make_rule(rule, **settings)


@pytest.mark.parametrize(("rule", "settings"), [("dfa", {"feedback": "seeded"}), ("dkp", {})])
def test_a_b_that_the_device_does_not_hold_is_refused(rule: str, settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="the limits of a device need"):
        attached(rule, noise=0.1, **settings)
