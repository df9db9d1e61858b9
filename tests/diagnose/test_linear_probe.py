"""The accuracy of a linear classifier on features whose worth is known."""

import math

import pytest
import torch
from torch import nn

from grape_bench.diagnose.linear_probe import FEATURES, linear_probe, pooled
from tests.diagnose.networks import attached


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


def test_large_outputs_are_averaged_over_positions():
    maps, tokens = torch.randn(3, 64, 16, 16), torch.randn(3, 100, 64)
    assert pooled(maps).shape == (3, FEATURES) and pooled(tokens).shape == (3, FEATURES)
    assert torch.allclose(pooled(torch.ones(2, 5, 800)), torch.ones(1)) and pooled(torch.ones(2, 700)).shape == (2, 700)
