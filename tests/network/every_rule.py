"""Every rule, in every form with its own way to draw or store feedback, and a model of each kind for them."""

import pytest
import torch
from torch import nn

from grape_bench.models.layered_energy import LayeredEnergy
from grape_bench.rules.dfa import DFA
from grape_bench.rules.grape import GrAPE
from grape_bench.rules.names import RULES
from tests.examples import EXAMPLES
from tests.network.problems import images, tanh_mlp, timm_model

OF_OTHER_NETWORKS = ("eprop", "rflo", "dfa-time", "dfa-gnn", "ep", "bp-window")
"""Rules of recurrent, spiking, graph and energy networks, and of attention."""

NOT_FOR_AN_MLP = ("norms-only", *OF_OTHER_NETWORKS)
"""The same, and rules that train norms and embeddings, of which an MLP has none."""

EVERY_RULE = {
    **{name: name for name in (*RULES, "dfa+anchor", "grape+anchor") if name not in OF_OTHER_NETWORKS},
    "dfa-seeded": DFA(feedback="seeded"),
    "grape-joint": GrAPE(refresh=1, estimator="joint"),
    "grape-nlms": GrAPE(refresh=1, estimator="joint", update="nlms"),
    **EXAMPLES,
}


def cnn() -> nn.Sequential:
    """Two convolutions with BatchNorm on images (N, 3, 6, 6), and a head of five classes."""
    hidden = [layer for width in (3, 4) for layer in (nn.Conv2d(width, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Flatten(), nn.Linear(144, 5))


VIT = dict(img_size=16, patch_size=8, depth=2, embed_dim=24, num_heads=3)

MODELS = {
    "mlp": (tanh_mlp, lambda: torch.randn(8, 6)),
    "cnn": (cnn, lambda: torch.randn(8, 3, 6, 6)),
    "vit": (timm_model("vit_tiny_patch16_224", **VIT), images(16)),
    "energy": (lambda: LayeredEnergy((6,), 4, hidden=(7, 5), steps=3), lambda: torch.randn(8, 6)),
}
"""Name -> (a function that makes the model, a function that makes a batch)."""

CASES = [
    pytest.param(
        rule, kind, marks=[pytest.mark.slow] if kind == "vit" and rule not in ("bp", "fa", "dfa", "grape") else []
    )
    for rule in EVERY_RULE
    for kind in MODELS
    if (kind == "energy") == (rule == "ep") and (kind != "mlp" or rule not in NOT_FOR_AN_MLP)
]
"""Every rule on every model for it, and on the energy model the rule that is for no other.

The transformer takes seconds, so the default tests run the main rules on it.
"""
