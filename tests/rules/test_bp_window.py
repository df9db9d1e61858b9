"""Windowed attention gradients against loops over queries and keys."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import grape_bench as gb
from grape_bench.contract.cases import CASES
from grape_bench.errors import DoesNotApplyError
from grape_bench.job import run as training
from grape_bench.rules.bp_window import windowed
from tests.job.jobs import job
from tests.network.problems import tanh_mlp

T, D = 5, 3
VIT = next(case for case in CASES if case.name == "vit")


def drawn(seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, 2, T, D, generator=generator, dtype=torch.float64) for _ in range(3)]


def by_loops(q: Tensor, k: Tensor, v: Tensor, window: int, causal: bool) -> Tensor:
    """Each query's output, in which the score and the value of a far key are constants."""
    rows = []
    for i in range(T):
        keys = range(i + 1) if causal else range(T)
        scores = [(q[..., i, :] * k[..., j, :]).sum(-1) / D**0.5 for j in keys]
        scores = [s if abs(i - j) <= window else s.detach() for j, s in zip(keys, scores, strict=True)]
        total = sum(s.exp() for s in scores)
        values = [v[..., j, :] if abs(i - j) <= window else v[..., j, :].detach() for j in keys]
        rows.append(sum((s.exp() / total)[..., None] * value for s, value in zip(scores, values, strict=True)))
    return torch.stack(rows, -2)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [0, 1, 4])
def test_only_near_keys_and_values_get_a_gradient(window: int, causal: bool) -> None:
    inputs = [tensor.requires_grad_() for tensor in drawn()]
    error = drawn(1)[0]
    found = windowed(window, *inputs, is_causal=causal)
    expected = by_loops(*inputs, window, causal)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found, F.scaled_dot_product_attention(*inputs, is_causal=causal))
    for one, other in zip(*(torch.autograd.grad(out, inputs, error) for out in (found, expected)), strict=True):
        torch.testing.assert_close(one, other)


def test_masks_groups_and_scale_are_those_of_pytorch() -> None:
    q, k, v = drawn()
    mask = torch.rand(T, T, generator=torch.Generator().manual_seed(2)) > 0.3
    mask |= torch.eye(T, dtype=torch.bool)
    for given in (mask, torch.zeros(T, T, dtype=torch.float64).masked_fill(~mask, -1.5)):
        ours = windowed(T, q, k, v, attn_mask=given, scale=0.7)
        torch.testing.assert_close(ours, F.scaled_dot_product_attention(q, k, v, attn_mask=given, scale=0.7))
    ours = windowed(T, q, k[:, :1], v[:, :1], enable_gqa=True)
    torch.testing.assert_close(ours, F.scaled_dot_product_attention(q, k[:, :1], v[:, :1], enable_gqa=True))


def gradients(rule: object, training: bool = True) -> list[Tensor]:
    model = VIT.model().train(training)
    gb.attach(model, rule, VIT.inputs(0))
    VIT.loss(VIT.logits(model, 0), 0).backward()
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def test_a_window_over_all_tokens_is_backpropagation() -> None:
    exact, wide = gradients("bp"), gradients(gb.make_rule("bp-window", window=99))
    for one, other in zip(wide, exact, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    narrow = gradients(gb.make_rule("bp-window", window=1))
    assert any((one - other).norm() > 0.01 * other.norm() for one, other in zip(narrow, exact, strict=True))


def test_the_window_holds_in_evaluation_mode_too() -> None:
    """The model has no dropout, so its gradients are the same in both modes."""
    training, evaluation = (gradients(gb.make_rule("bp-window", window=1), mode) for mode in (True, False))
    assert all(map(torch.equal, training, evaluation))


class Attention(nn.Module):
    """Without a residual stream, the window changes most of the gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Linear(D, 3 * D)

    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(*self.maps(x).chunk(3, -1)).tanh()


def test_diagnostics_measure_the_windowed_gradient() -> None:
    """No window lies above the last block, so there the signal is exact."""
    torch.manual_seed(0)
    model = nn.Sequential(Attention(), Attention(), Attention(), nn.Flatten(), nn.Linear(T * D, 4))
    x, y = torch.randn(8, T, D), torch.arange(8) % 4
    net = gb.attach(model, gb.make_rule("bp-window", window=0), x)
    first, second, last = gb.alignment(net, [(x, y)], F.cross_entropy).values()
    assert max(first, second) < 0.9 and last == pytest.approx(1)


def test_it_learns_digits_better_than_the_control() -> None:
    """The head reads the mean of all tokens. A class token at the first place would hear of its neighbors alone."""
    pooled = {"class_token": False, "global_pool": "avg"}
    small = {"img_size": 8, "patch_size": 2, "embed_dim": 32, "depth": 2, "num_heads": 2, **pooled}
    budget: dict[str, Any] = {"epochs": 4, "batch_size": 32, "optimizer": {"name": "adamw", "lr": 3e-3}}
    settings = {"bp-window": {"window": 1}, "head-only": {}}
    learned, control = (
        training.run(
            job(rule, model="timm:vit_tiny_patch16_224", model_args=small, rule_settings=own, profile=False, **budget),
            lambda row: None,
        )["result"]["test"]
        for rule, own in settings.items()
    )
    assert learned > control + 10, (learned, control)


def test_it_refuses_networks_without_attention_and_dropout_on_its_weights() -> None:
    with pytest.raises(DoesNotApplyError, match="no call of scaled_dot_product_attention"):
        gb.attach(tanh_mlp(), "bp-window", torch.randn(4, 6))
    with pytest.raises(DoesNotApplyError, match="dropout"):
        windowed(1, *drawn(), dropout_p=0.1)
