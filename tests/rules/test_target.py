"""The target that is read from an error: exact for cross-entropy at any scale, and a guess for other losses."""

import pytest
import torch
import torch.nn.functional as F

import grape_bench as gb
from grape_bench import UserError
from grape_bench.network.lean import lean_step
from grape_bench.rules.target import read_target
from tests.network.problems import tanh_mlp

LABELS = torch.tensor([0, 2, 1, 2, 3, 0])


def read(loss_of, scores=None):
    scores = (torch.randn(6, 4) if scores is None else scores).requires_grad_()
    (error,) = torch.autograd.grad(loss_of(scores), scores)
    return read_target(scores.detach(), error)


@pytest.mark.parametrize("scale", [1.0, 65536.0])
def test_cross_entropy_tells_the_labels_and_the_weight_of_a_sample(scale):
    target = read(lambda scores: scale * F.cross_entropy(scores, LABELS))
    assert torch.equal(target.one_hot, F.one_hot(LABELS, 4).float())
    assert target.scale.item() == pytest.approx(scale / 6, rel=1e-5)


def test_labels_are_told_through_smoothing_and_by_squares():
    smooth = read(lambda scores: F.cross_entropy(scores, LABELS, label_smoothing=0.1))
    assert torch.equal(smooth.one_hot.argmax(1), LABELS)
    squares = read(lambda scores: F.mse_loss(scores, F.one_hot(LABELS, 4).float()), 0.1 * torch.randn(6, 4))
    assert torch.equal(squares.one_hot.argmax(1), LABELS) and squares.scale > 0


def test_tokens_that_the_loss_ignores_have_no_target():
    labels = torch.tensor([[0, 1, -100], [2, -100, 3]])
    target = read(lambda scores: F.cross_entropy(scores.flatten(0, 1), labels.flatten()), torch.randn(2, 3, 4))
    assert torch.equal(target.one_hot.sum(-1), (labels >= 0).float())
    assert target.scale.item() == pytest.approx(1 / 4, rel=1e-5)


def test_samples_that_fit_perfectly_do_not_matter_and_a_loss_of_zero_tells_nothing():
    scores = torch.randn(6, 4)
    scores[0] = torch.tensor([500.0, 0, 0, 0])
    assert read(lambda s: F.cross_entropy(s, LABELS), scores).scale.item() == pytest.approx(1 / 6, rel=1e-5)
    nothing = read(lambda s: 0 * s.sum())
    assert not nothing.one_hot.any() and nothing.scale == 0


def test_a_sample_whose_probability_rounds_to_1_keeps_its_target():
    """No error is negative there, and the scale of the other samples must not suffer."""
    scores = torch.randn(6, 4)
    scores[range(6), LABELS] = torch.tensor([18.0, 19.0, 20.0, 18.5, 25.0, 1.0])
    target = read(lambda s: F.cross_entropy(s, LABELS), scores)
    assert torch.equal(target.one_hot, F.one_hot(LABELS, 4).float())
    assert target.scale.item() == pytest.approx(1 / 6, rel=1e-4)


def test_a_single_score_is_a_sigmoids():
    labels = torch.tensor([[1.0], [0.0], [1.0]])
    target = read(lambda s: F.binary_cross_entropy_with_logits(s, labels), torch.randn(3, 1))
    assert torch.equal(target.one_hot, labels) and target.scale.item() == pytest.approx(1 / 3, rel=1e-5)


def test_block_by_block_training_is_refused():
    model, x = tanh_mlp(), torch.randn(4, 6)
    net = gb.attach(model, "drtp", x)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(UserError, match="cannot train block by block"):
        lean_step(net, ((x,), {}), lambda y: F.cross_entropy(y, LABELS[:4]), optimizer)


@pytest.mark.parametrize("rule", ["local", "drtp"])
def test_a_rule_that_reads_classes_refuses_a_regression(rule):
    with pytest.raises(UserError, match="reads classes, but the network has one output per position") as refused:
        gb.attach(tanh_mlp((6, 5, 5, 1)), rule, torch.randn(4, 6))
    assert "dfa" in str(refused.value.hint)


@pytest.mark.parametrize("rule", ["local", "drtp"])
def test_a_rule_that_reads_classes_asks_which_of_several_outputs(rule):
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = tanh_mlp((6, 5, 5, 3))

        def forward(self, x):
            scores = self.body(x)
            return scores, 2 * scores

    with pytest.raises(UserError, match="the network has several outputs") as refused:
        gb.attach(Twice(), rule, torch.randn(4, 6))
    assert "output=0" in str(refused.value.hint)
    gb.attach(Twice(), rule, torch.randn(4, 6), output=0)
