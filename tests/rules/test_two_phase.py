"""Weights that the head shares with a block, under rules whose second phase differentiates the whole loss."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import grape_bench as gb

WIDTH = 4
X, Y = torch.randint(6, (8, 3)), torch.randint(6, (8, 3))


class Residual(nn.Module):
    """h + tanh(W h)."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + torch.tanh(self.linear(hidden))


class Tied(nn.Module):
    """A language model whose unembedding is its embedding."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, WIDTH)
        self.layers = nn.Sequential(Residual(), Residual())
        self.head = nn.Linear(WIDTH, vocabulary, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.layers(self.embedding(tokens)))

    def head_part(self, tokens: Tensor) -> Tensor:
        """The gradient of the shared weight through its use by the head alone."""
        scores = self.layers(self.embedding(tokens)).detach() @ self.head.weight.T
        return torch.autograd.grad(loss_of(scores), self.head.weight)[0]


def loss_of(scores: Tensor) -> Tensor:
    return F.cross_entropy(scores.flatten(0, 1), Y.flatten() % scores.shape[-1])


@pytest.mark.parametrize(
    ("rule", "vocabulary"),
    [
        pytest.param("spsa", 3, id="spsa, error at the scores"),
        pytest.param("fg-weights", 6, id="fg-weights, error below the unembedding"),
        pytest.param("spsa", 6, id="spsa, error below the unembedding", marks=pytest.mark.slow),
        pytest.param("fg-weights", 3, id="fg-weights, error at the scores", marks=pytest.mark.slow),
    ],
)
def test_the_estimate_of_a_tied_weight_has_the_true_mean(rule: str, vocabulary: int) -> None:
    torch.manual_seed(0)
    model = Tied(vocabulary).double()
    tokens = X % vocabulary
    loss_of(model(tokens)).backward()
    true = model.embedding.weight.grad.clone()
    head = model.head_part(tokens)
    settings = {"perturbations": 4000} if rule == "fg-weights" else {"perturbations": 4000, "radius": 1e-5}
    model.zero_grad()
    gb.attach(model, gb.make_rule(rule, **settings), tokens).step(tokens, loss_of)
    excess = ((model.embedding.weight.grad - true) * head).sum() / head.square().sum()
    assert excess.abs() < 0.3, "it was 1: the head's part counted twice"


def test_predictive_coding_counts_the_head_once() -> None:
    """With a tiny rate the states stay where they are, and the only gradient of the embedding is the head's."""
    torch.manual_seed(0)
    model = Tied(6).double()
    head = model.head_part(X)
    gb.attach(model, gb.make_rule("pc", steps=1, rate=1e-12), X).step(X, loss_of)
    torch.testing.assert_close(model.embedding.weight.grad, head)


@pytest.mark.parametrize("rule", ["spsa", "pc"])
def test_small_differences_survive_autocast(rule: str) -> None:
    """Autocast keeps a half-precision copy of each weight, so a move of 1e-3 would be lost."""

    def gradients(dtype: torch.dtype | None) -> Tensor:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 4))
        x, labels = torch.randn(16, 6), torch.randint(4, (16,))
        net = gb.attach(model, rule, x)
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            net.step(x, lambda scores: F.cross_entropy(scores.float(), labels))
        return torch.cat([parameter.grad.flatten() for parameter in model[:2].parameters()])

    half, full = gradients(torch.bfloat16), gradients(None)
    assert F.cosine_similarity(half, full, dim=0) > 0.95 and half.norm() > 0.8 * full.norm()
