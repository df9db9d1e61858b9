"""Every rule, in every form that draws or keeps its feedback in its own way, and a model of each kind for them."""

import torch
from torch import nn

from grape_bench.rules.dfa import DFA
from grape_bench.rules.grape import GrAPE
from grape_bench.rules.names import RULES
from tests.network.problems import BY_NAME, tanh_mlp

EVERY_RULE = {
    **{name: name for name in (*RULES, "dfa+anchor", "grape+anchor")},
    "dfa-seeded": DFA(feedback="seeded"),
    "grape-joint": GrAPE(refresh=1, estimator="joint"),
    "grape-nlms": GrAPE(refresh=1, estimator="joint", update="nlms"),
}


def cnn() -> nn.Sequential:
    """Two convolutions with BatchNorm on images (N, 3, 6, 6), and a head of five classes."""
    hidden = [layer for width in (3, 4) for layer in (nn.Conv2d(width, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Flatten(), nn.Linear(144, 5))


MODELS = {
    "mlp": (tanh_mlp, BY_NAME["mlp"].batch),
    "cnn": (cnn, lambda: torch.randn(8, 3, 6, 6)),
    "vit": (BY_NAME["vit"].model, BY_NAME["vit"].batch),
}
"""Name -> (a function that makes the model, a function that makes a batch)."""
