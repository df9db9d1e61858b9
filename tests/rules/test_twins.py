"""Each rule against its literal twin in `reference`, to 1e-6, in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from grape_bench.rules.feedback import FEEDBACK, SEED
from grape_bench.rules.grape import nlms_step
from grape_bench.rules.jacobian import Estimate
from grape_bench.rules.layout import SKETCH
from tests.network.problems import tanh_mlp
from tests.rules import reference

SIZES = (5, 6, 4, 3)


@pytest.fixture
def problem():
    model = tanh_mlp(SIZES).double()
    x, labels = torch.randn(4, 5, dtype=torch.float64), torch.tensor([0, 1, 2, 1])
    layers = [(layer.weight.detach(), layer.bias.detach()) for layer in model if isinstance(layer, nn.Linear)]
    return model, x, labels, layers


def check(model, x, labels, layers, signal):
    F.cross_entropy(model(x), labels).backward()
    expected = reference.gradients(layers, x, labels, signal)
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    for layer, (dW, db) in zip(linear, expected, strict=True):
        torch.testing.assert_close(layer.weight.grad, dW, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(layer.bias.grad, db, rtol=1e-6, atol=1e-9)


def direct_feedback(net):
    return [block.load(FEEDBACK).double() for block in net.blocks]


def test_bp(problem):
    model, x, labels, layers = problem
    gb.attach(model, "bp", x)
    check(model, x, labels, layers, reference.bp_signal(layers))


def test_fa(problem):
    model, x, labels, layers = problem
    gb.attach(model, "fa", x)
    feedback = [module.get_buffer("grape_bench_weight_feedback") for module in model if isinstance(module, nn.Linear)]
    check(model, x, labels, layers, reference.fa_signal(feedback))
    for module, B in zip([m for m in model if isinstance(m, nn.Linear)], feedback, strict=True):
        assert B.shape == module.weight.shape and not torch.equal(B, module.weight)


def test_dfa(problem):
    model, x, labels, layers = problem
    net = gb.attach(model, "dfa", x)
    check(model, x, labels, layers, reference.dfa_signal(direct_feedback(net)))


def test_dfa_with_slices_of_one_matrix(problem):
    model, x, labels, layers = problem
    net = gb.attach(model, gb.make_rule("dfa", feedback="slice"), x)
    (shared,) = (buffer for name, buffer in model.named_buffers() if name.endswith(FEEDBACK))
    feedback = [shared[:, :n] / n**0.5 for n in SIZES[1:-1]]
    check(model, x, labels, layers, reference.dfa_signal(feedback))
    assert [kept.shape for kept in net.feedback().values()] == [(3, 6), (3, 4)] and shared.shape == (3, 6)


def test_dfa_with_low_rank_feedback(problem):
    model, x, labels, layers = problem
    net = gb.attach(model, gb.make_rule("dfa", feedback="low-rank"), x)
    feedback = [block.load(SKETCH) @ block.load(FEEDBACK) for block in net.blocks]
    check(model, x, labels, layers, reference.dfa_signal(feedback))
    assert [torch.linalg.matrix_rank(B).item() for B in feedback] == [2, 2]


def test_dfa_with_feedback_from_a_seed(problem):
    model, x, labels, layers = problem
    net = gb.attach(model, gb.make_rule("dfa", feedback="seeded"), x)
    feedback = [reference.seeded_feedback(block.load(SEED).item(), 3, block.size) for block in net.blocks]
    check(model, x, labels, layers, reference.dfa_signal(feedback))


@pytest.mark.parametrize("normalize", ["output", "unit"])
@pytest.mark.parametrize("cosine", ["columns", "frobenius"])
def test_grape(problem, normalize, cosine):
    """Feedback and gradients after one refresh, the directions taken from the rule's own stream."""
    model, x, labels, layers = problem
    rule = gb.make_rule("grape", estimator="joint", feedback_lr=0.3, normalize=normalize, cosine=cosine)
    net = gb.attach(model, rule, x, seed=3)
    before = direct_feedback(net)
    generator = torch.Generator().manual_seed(net.generator("perturbation").initial_seed())
    directions = [torch.randn(4, n, generator=generator).double() for n in SIZES[1:-1]]
    hidden = [reference.forward(layers, sample) for sample in x]
    expected = []
    for l, B in enumerate(before):
        estimate = torch.zeros_like(B)
        for n in range(len(x)):
            d = sum(reference.jacobian_vector(layers, hidden[n], k, directions[k][n]) for k in range(len(before)))
            estimate += torch.outer(d, directions[l][n]) / len(x)
        expected.append(reference.grape_step(B, estimate, 0.3, normalize, cosine))

    check(model, x, labels, layers, reference.dfa_signal(expected))
    for B, refined in zip(expected, direct_feedback(net), strict=True):
        torch.testing.assert_close(refined, B, rtol=1e-6, atol=1e-6)


def test_grape_with_low_rank_feedback_follows_the_jacobian_of_the_sketch(problem):
    model, x, labels, layers = problem
    rule = gb.make_rule("grape", estimator="joint", feedback_lr=0.3, feedback="low-rank")
    net = gb.attach(model, rule, x, seed=3)
    before, sketches = direct_feedback(net), [block.load(SKETCH).double() for block in net.blocks]
    generator = torch.Generator().manual_seed(net.generator("perturbation").initial_seed())
    directions = [torch.randn(4, n, generator=generator).double() for n in SIZES[1:-1]]
    hidden = [reference.forward(layers, sample) for sample in x]
    expected = []
    for l, (V, U) in enumerate(zip(before, sketches, strict=True)):
        estimate = torch.zeros_like(V)
        for n in range(len(x)):
            d = sum(reference.jacobian_vector(layers, hidden[n], k, directions[k][n]) for k in range(len(before)))
            estimate += torch.outer(U.T @ d, directions[l][n]) / len(x)
        expected.append(U @ reference.grape_step(V, estimate, 0.3, "output", "columns"))
    check(model, x, labels, layers, reference.dfa_signal(expected))


def test_head_only(problem):
    model, x, labels, layers = problem
    gb.attach(model, "head-only", x)
    F.cross_entropy(model(x), labels).backward()
    expected = reference.gradients(layers, x, labels, reference.bp_signal(layers))[-1]
    assert [layer.weight.grad is None for layer in (model[0], model[2])] == [True, True]
    torch.testing.assert_close(model[4].weight.grad, expected[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rule", ["fa", "dfa", "grape", "head-only"])
def test_anchored_rules_take_backpropagation_on_one_random_batch_an_epoch(problem, rule):
    model, x, labels, layers = problem
    net = gb.attach(model, f"{rule}+anchor", x)
    exact = reference.gradients(layers, x, labels, reference.bp_signal(layers))[0][0]
    anchors = []
    for _ in range(4):
        net.begin_epoch(batches=10)
        anchors.append([])
        for _ in range(10):
            model.zero_grad()
            F.cross_entropy(model(x), labels).backward()
            gradient = model[0].weight.grad
            anchors[-1].append(gradient is not None and torch.allclose(gradient, exact, rtol=1e-6, atol=1e-9))
    assert [sum(epoch) for epoch in anchors] == [1, 1, 1, 1]
    assert len({epoch.index(True) for epoch in anchors}) > 1, "the batch is random"
    declared = 1.0 if rule == "fa" else 0.1
    assert net.bp_fraction == pytest.approx(declared)


def test_nlms():
    B, directions, effects = torch.randn(3, 6), torch.randn(8, 6), torch.randn(8, 3)
    expected = reference.nlms_step(B, directions, effects)
    torch.testing.assert_close(nlms_step(B, Estimate(directions, effects)), expected, rtol=1e-6, atol=1e-6)


def test_nlms_finds_the_jacobian_of_a_linear_network_scale_included():
    model = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4), nn.Linear(4, 3))
    net = gb.attach(model, gb.make_rule("grape", update="nlms", refresh=1), torch.randn(32, 6))
    for _ in range(60):
        model(torch.randn(32, 6))
    for block, jacobian in zip(net.blocks, (model[2].weight @ model[1].weight, model[2].weight), strict=True):
        torch.testing.assert_close(block.load(FEEDBACK), jacobian.detach(), rtol=1e-3, atol=1e-4)
