"""Small dense networks: regression and reinforcement_learning of PyTorch's `examples`, and DeepFM (Guo et al. 2017)."""

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.zoo.entry import Entry, classes, halves, reads_classes, values


class Reinforce(nn.Module):
    """A policy: dropout before the activation, probabilities as the output."""

    def __init__(self):
        super().__init__()
        self.affine1, self.dropout, self.affine2 = nn.Linear(4, 12), nn.Dropout(0.6), nn.Linear(12, 3)

    def forward(self, x):
        return F.softmax(self.affine2(F.relu(self.dropout(self.affine1(x)))), dim=1)


class ActorCritic(nn.Module):
    """Two heads on one hidden layer: the probabilities of the actions, and the value of the state."""

    def __init__(self):
        super().__init__()
        self.affine1, self.action_head, self.value_head = nn.Linear(4, 12), nn.Linear(12, 3), nn.Linear(12, 1)

    def forward(self, x):
        x = F.relu(self.affine1(x))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)


def returns(probabilities):
    """-log p(action) times the (fixed) return of each step."""
    chosen = torch.log(probabilities)[torch.arange(len(probabilities)), classes(len(probabilities), 3)]
    return -(chosen * (values(chosen) + 0.3)).sum()


def advantages(output):
    probabilities, value = output
    value, gain = value.squeeze(1), values(value.squeeze(1)) + 1
    chosen = torch.log(probabilities)[torch.arange(len(value)), classes(len(value), 3)]
    return -(chosen * (gain - value.detach())).sum() + F.smooth_l1_loss(value, gain, reduction="sum")


class DeepFM(nn.Module):
    """Embedded fields feed a factorization machine and an MLP; their sum with a linear term is the output (N,)."""

    def __init__(self, fields=4, ids=20, width=3):
        super().__init__()
        self.linear, self.embedding = nn.Embedding(ids, 1), nn.Embedding(ids, width)
        self.bias = nn.Parameter(torch.zeros(1))
        self.mlp = nn.Sequential(
            nn.Linear(fields * width, 10),
            nn.BatchNorm1d(10),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(10, 8),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(8, 1),
        )

    def forward(self, ids):
        embedded = self.embedding(ids)
        pairs = 0.5 * (embedded.sum(1).pow(2) - embedded.pow(2).sum(1)).sum(1, keepdim=True)
        first = self.linear(ids).sum(1) + self.bias
        return torch.sigmoid((first + pairs + self.mlp(embedded.flatten(1))).squeeze(1))


def clicked(output):
    return F.binary_cross_entropy(output, halves(output))


def states():
    return torch.randn(6, 4)


ENTRIES = [
    Entry(
        "regression",
        lambda: nn.Linear(4, 1),
        states,
        lambda output: F.smooth_l1_loss(output, values(output)),
        (),
        ("weight",),
        (6, 1),
        refused={"cuts": "one layer"},
    ),
    Entry("reinforce", Reinforce, states, returns, ("affine1.weight",), ("affine2.weight",), (6, 3)),
    Entry(
        "actor_critic",
        ActorCritic,
        states,
        advantages,
        ("affine1.weight",),
        ("action_head.weight", "value_head.weight"),
        (6, 4),
        refused=reads_classes(),
    ),
    Entry(
        "deepfm",
        DeepFM,
        lambda: torch.arange(24).reshape(6, 4) % 20,
        clicked,
        ("embedding.weight", "mlp.[04].weight"),
        ("mlp.8.weight", "linear.weight"),
        (6, 1),
        refused=reads_classes(),
        family="recommender",
    ),
]
