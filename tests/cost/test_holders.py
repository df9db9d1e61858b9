"""What holds a step's memory, on a network whose bytes can be counted by hand."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from grape_bench.cost.step import holders

N, WIDTHS, CLASSES = 16, (8, 12, 20), 5
FLOAT = 4


class Step:
    def __init__(self, rule):
        layers = [nn.Sequential(nn.Linear(a, b), nn.Tanh()) for a, b in pairwise(WIDTHS)]
        model = nn.Sequential(*layers, nn.Linear(WIDTHS[-1], CLASSES))
        self.network = gb.attach(model, rule, torch.randn(N, WIDTHS[0]), blocks=["0", "1"])
        self.optimizer = torch.optim.AdamW(model.parameters())

    def forward(self, batch, target):
        self.optimizer.zero_grad(set_to_none=True)
        return F.cross_entropy(self.network.model(*batch[0]), target)

    def backward(self, loss):
        loss.backward()

    def update(self):
        self.optimizer.step()


def found(rule):
    return holders(Step(rule), ((torch.randn(N, WIDTHS[0]),), {}), torch.randint(CLASSES, (N,)))


@pytest.mark.parametrize("rule", ["bp", "dfa"])
def test_every_byte_of_an_mlp(rule):
    sizes = [*WIDTHS, CLASSES]
    weights = FLOAT * sum(a * b + b for a, b in pairwise(sizes))
    kept = found(rule)
    assert kept.weights == kept.gradients == weights
    assert kept.optimizer == 2 * weights + FLOAT * 6  # two moments, and the step of each of the six parameters
    assert kept.feedback == (FLOAT * CLASSES * (12 + 20) if rule == "dfa" else 0)
    # The input and what each tanh returned; cross-entropy keeps its log-probabilities, labels and total weight.
    loss = FLOAT * N * CLASSES + 8 * N + FLOAT
    assert kept.activations == FLOAT * N * sum(WIDTHS) + loss


def test_a_frozen_part_keeps_nothing():
    assert found("head-only").activations < found("bp").activations
    assert found("head-only").gradients == FLOAT * (20 * CLASSES + CLASSES)
