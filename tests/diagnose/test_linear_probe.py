"""The accuracy of a linear classifier on features with a known answer."""

import math

import pytest
import torch
from torch import nn

import grape_bench as gb
from grape_bench.diagnose.linear_probe import FEATURES, linear_probe, pooled
from tests.diagnose.networks import attached
from tests.network.problems import convolutions


def accuracy(make_inputs, samples=400):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (samples,), generator=generator)
    model = nn.Sequential(*(nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.9)) for _ in range(2)), nn.Linear(8, 4))
    with torch.no_grad():
        for block in (model[0], model[1]):
            block[0].weight.copy_(torch.eye(8))
    net = attached(model, "dfa")
    found = linear_probe(net, [(((make_inputs(labels, generator),), {}), labels)])
    assert model[0][1].training, "the mode is put back"
    return [row["probe_accuracy"] for row in found.values()]


def test_separable_features_are_told_apart_without_dropout():
    def inputs(labels, generator):
        noise = 0.05 * torch.randn(len(labels), 8, generator=generator)
        return noise + nn.functional.one_hot(labels, 8)

    assert accuracy(inputs) == [100, 100]


def test_noise_gives_chance():
    found = accuracy(lambda labels, generator: torch.randn(len(labels), 8, generator=generator))
    assert found == pytest.approx([25, 25], abs=8)


def test_features_that_are_not_finite_have_no_accuracy():
    assert all(map(math.isnan, accuracy(lambda labels, generator: torch.full((len(labels), 8), math.inf))))


def probed(target: torch.Tensor, x: torch.Tensor) -> list[float]:
    """The probe of two blocks that pass on their input x (N, ..., 8)."""
    model = nn.Sequential(*(nn.Sequential(nn.Linear(8, 8), nn.Identity()) for _ in range(2)), nn.Linear(8, 4))
    with torch.no_grad():
        for block in (model[0], model[1]):
            block[0].weight.copy_(torch.eye(8))
            block[0].bias.zero_()
    found = linear_probe(attached(model, "dfa"), [(((x,), {}), target)])
    return [value for row in found.values() for value in row.values()]


def test_values_are_scored_by_r2():
    x = torch.randn(400, 8, generator=torch.Generator().manual_seed(0))
    weights = torch.arange(16.0).view(8, 2)
    assert probed(x @ weights, x) == pytest.approx([1, 1], abs=1e-3)
    noise = torch.randn(400, 1, generator=torch.Generator().manual_seed(1))
    assert max(probed(noise, x)) < 0.2


def test_every_position_with_a_target_is_a_row_and_ignored_ones_are_not():
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(8, (40, 10), generator=generator)
    x = nn.functional.one_hot(target, 8) + 0.05 * torch.randn(40, 10, 8, generator=generator)
    assert probed(target, x) == [100, 100]
    odd = torch.arange(10) % 2 == 1
    x = x.where(odd[:, None], torch.randn(40, 10, 8, generator=generator))  # noise at the even positions
    assert max(probed(target, x)) < 75
    assert probed(target.masked_fill(~odd, -100), x) == [100, 100]


@pytest.mark.parametrize("positions", [(64,), (2, 16), (8, 8)])
def test_averages_over_positions_tell_channels_apart(positions):
    """The label is the channel, of 256, that is not zero."""
    labels = torch.arange(80) % 4
    model = convolutions(len(positions), channels=256, classes=4, inputs=256)
    for layer, _ in model[:2]:
        nn.init.dirac_(layer.weight)
        nn.init.zeros_(layer.bias)
    x = torch.zeros(80, 256, *positions)
    x[torch.arange(80), labels] = 1
    found = linear_probe(gb.attach(model, "dfa", x[:4]), [(((x,), {}), labels)])
    assert [row["probe_accuracy"] for row in found.values()] == [100, 100]


def test_every_time_of_a_convolution_with_a_target_is_a_row():
    target = torch.randint(8, (20, 10), generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(*(nn.Sequential(nn.Conv1d(8, 8, 1), nn.Identity()) for _ in range(2)), nn.Conv1d(8, 8, 1))
    for layer in (model[0][0], model[1][0]):
        nn.init.dirac_(layer.weight)
    x = nn.functional.one_hot(target, 8).float().mT
    found = linear_probe(gb.attach(model, "dfa", x, axis=1), [(((x,), {}), target)])
    assert [row["probe_accuracy"] for row in found.values()] == [100, 100]


def test_large_outputs_are_averaged_over_positions():
    maps, tokens = torch.randn(3, 16, 16, 64), torch.randn(3, 100, 64)
    assert pooled(maps).shape == (3, FEATURES) and pooled(tokens).shape == (3, FEATURES)
    assert torch.allclose(pooled(torch.ones(2, 5, 800)), torch.ones(1)) and pooled(torch.ones(2, 700)).shape == (2, 700)
