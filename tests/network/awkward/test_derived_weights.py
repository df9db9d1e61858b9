"""Weights that are computed from parameters: feedback replaces them too, and the report says what happened."""

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, parametrize, spectral_norm, weight_norm

import grape_bench as gb
from grape_bench import UserError
from grape_bench.rules.fa import FA
from tests.network.awkward.comparison import assert_same, gradients
from tests.network.problems import loss_of
from tests.network.transport import Transported

X = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(3, 4, 7, 7, generator=torch.Generator().manual_seed(1))


class LowRank(nn.Module):
    """W + B A, as LoRA merges it."""

    def __init__(self, rows, columns):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(2, columns)), nn.Parameter(torch.randn(rows, 2))

    def forward(self, weight):
        return weight + self.b @ self.a


class Standardised(nn.Linear):
    """The weight is made in the forward, transposed twice on the way."""

    def forward(self, x):
        weight = self.weight - self.weight.mean(1, keepdim=True)
        return F.linear(x, weight.t().contiguous().t(), self.bias)


class ByInput(nn.Linear):
    """A weight that depends on the input (dynamic convolution): no fixed matrix can stand for it."""

    def forward(self, x):
        return F.linear(x, self.weight * x.mean(), self.bias)


def plain(layer):
    return layer


def low_rank(layer):
    parametrize.register_parametrization(layer, "weight", LowRank(*layer.weight.shape))
    return layer


def mlp(derive):
    torch.manual_seed(0)
    made = [derive(nn.Linear(a, b)) for a, b in ((5, 8), (8, 7), (7, 6))]
    return nn.Sequential(*(module for layer in made for module in (layer, nn.Tanh())), derive(nn.Linear(6, 3)))


def standardised_layer(layer):
    made = Standardised(layer.in_features, layer.out_features)
    made.load_state_dict(layer.state_dict())
    return made


class Convolutions(nn.Sequential):
    def __init__(self, derive):
        torch.manual_seed(0)
        convs = [nn.Conv2d(4, 4, 3, padding=1, groups=groups) for groups in (1, 2, 1)]
        made = [module for conv in convs for module in (derive(conv), nn.GELU())]
        super().__init__(*made, nn.Flatten(), nn.Linear(4 * 49, 3))


DERIVED = {
    "weight_norm": weight_norm,
    "spectral_norm": spectral_norm,
    "parametrized weight_norm": parametrizations.weight_norm,
    "parametrized spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "low rank": low_rank,
    "in the forward": standardised_layer,
}
MODELS = {
    **{name: (lambda derive=derive: mlp(derive).double(), X.double()) for name, derive in DERIVED.items()},
    "convolutions": (lambda: Convolutions(parametrizations.weight_norm).double(), IMAGES.double()),
    "nf_regnet_b0": (lambda: timm.create_model("nf_regnet_b0", num_classes=3), torch.randn(2, 3, 32, 32)),
    "resnetv2_18": (lambda: timm.create_model("resnetv2_50", num_classes=3), torch.randn(2, 3, 32, 32)),
}


def case(name):
    make, x = MODELS[name]
    torch.manual_seed(0)
    return make().eval(), x  # in training spectral norms move with every forward


@pytest.mark.parametrize("name", MODELS)
def test_feedback_that_is_the_weight_is_backpropagation(name):
    model, x = case(name)
    expected = gradients(model, x)
    gb.attach(model, Transported(), x)
    assert_same(gradients(model, x), expected)


@pytest.mark.parametrize("name", MODELS)
def test_feedback_alignment_takes_place_where_the_report_says_so(name):
    """A gradient differs from backpropagation's exactly where it is reported as the rule's."""
    model, x = case(name)
    expected = gradients(model, x)
    net = gb.attach(model, "fa", x)
    found = gradients(model, x)
    differs = {n for n, g in expected.items() if (found[n] - g).norm() > 1e-3 * g.norm() > 0}
    zero = {n for n, g in expected.items() if not g.any()}
    assert differs == {n for n, credit in net.report().items() if credit == "rule"} - zero
    assert differs


def test_a_derived_weight_is_gone_back_through_as_a_plain_one():
    """With the same weights and the same feedback, the weights' own gradients are those of a plain network."""
    model, twin = mlp(low_rank), mlp(plain)
    for layer, own in zip(model, twin, strict=True):
        if isinstance(own, nn.Linear):
            own.weight.data.copy_(layer.weight)
            own.bias.data.copy_(layer.bias)
    for each in (model, twin):
        gb.attach(each, "fa", X)
    for layer, own in zip(model, twin, strict=True):
        if isinstance(own, nn.Linear):
            own.get_buffer("grape_bench_weight_feedback").copy_(layer.get_buffer("grape_bench_derived0_feedback"))
    found, expected = gradients(model, X), gradients(twin, X)
    for index in (0, 2, 4, 6):
        torch.testing.assert_close(found[f"{index}.parametrizations.weight.original"], expected[f"{index}.weight"])
        torch.testing.assert_close(found[f"{index}.bias"], expected[f"{index}.bias"])


def test_a_weight_that_depends_on_the_input_is_refused_unless_it_may_be_read():
    def by_input(layer):
        return ByInput(layer.in_features, layer.out_features)

    model = mlp(by_input)
    expected = gradients(model, X)
    with pytest.raises(UserError, match=r"2\.weight \(mul\)"):
        gb.attach(model, "fa", X)
    net = gb.attach(model, FA(allow_transport=True), X)
    assert_same(gradients(model, X), expected)
    assert set(net.report().values()) == {"exact"}


def test_frozen_weights_are_gone_back_through_by_feedback_too():
    found = []
    for freeze in (False, True):
        model = mlp(low_rank)
        gb.attach(model, "fa", X)
        for parameter in model[2].parameters():
            parameter.requires_grad_(not freeze)
        loss_of(model(X)).backward()
        found.append(model[0].bias.grad)
    assert torch.equal(found[0], found[1])


def test_no_hook_and_no_buffer_of_it_stays():
    model = mlp(low_rank)
    net = gb.attach(model, "fa", X)
    model(X)
    net.detach()
    assert not any("grape_bench" in name for name in model.state_dict())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())
