"""Rules that train more than the model's weights, each against its paper's formula written out."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import grape_bench as gb
from grape_bench.network.network import Network
from grape_bench.rules.predsim import pooled, similarity
from tests.network.problems import channels_last, convolutions, tanh_mlp

X, Y = torch.randn(12, 6, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 4
N, CLASSES = len(X), 4


def attached(rule: str, **settings: Any) -> tuple[nn.Sequential, Network, list[Tensor], Tensor]:
    """A tanh network 6-7-5-4 after one step, with blocks "1" and "3": its activations x, h1, h2, and the error."""
    torch.manual_seed(0)
    model = tanh_mlp()
    net = gb.attach(model, gb.make_rule(rule, **settings), X)
    step(net)
    w1, b1, w2, b2, w3, b3 = (p.detach() for p in model.parameters())
    h1 = torch.tanh(X @ w1.T + b1)
    h2 = torch.tanh(h1 @ w2.T + b2)
    return model, net, [X, h1, h2], ((h2 @ w3.T + b3).softmax(1) - F.one_hot(Y, CLASSES)) / N


def step(net: Network) -> Tensor:
    for parameter in net.parameters():
        parameter.grad = None
    return net.step(X, lambda output: F.cross_entropy(output, Y), Y)


def weight_gradient(signal: Tensor, output: Tensor, below: Tensor) -> Tensor:
    """dW of h = tanh(W x) for dL/dh = signal."""
    return (signal * (1 - output**2)).T @ below


def feedback_of(net: Network) -> list[nn.Parameter]:
    return [block.owned("feedback").weight for block in net.blocks]


def descend(net: Network, lr: float) -> None:
    torch.optim.SGD(net.parameter_groups(), lr=lr).step()


def test_dkp_gives_the_feedback_the_update_of_a_weight_to_the_output() -> None:
    """dB_l = sum over samples of e h_l^T, and the signal is B_l^T e (Webster et al. 2021)."""
    model, net, (x, h1, h2), e = attached("dkp")
    for B, h in zip(feedback_of(net), (h1, h2), strict=True):
        torch.testing.assert_close(B.grad, sum(torch.outer(e[i], h[i]) for i in range(N)))
    B1, B2 = (B.detach() for B in feedback_of(net))
    torch.testing.assert_close(model[0].weight.grad, weight_gradient(e @ B1, h1, x))
    torch.testing.assert_close(model[2].weight.grad, weight_gradient(e @ B2, h2, h1))


def test_dkp_is_dfa_in_its_first_step() -> None:
    torch.manual_seed(0)
    plain = tanh_mlp()
    step(gb.attach(plain, "dfa", X))
    model, *_ = attached("dkp")
    for own, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)


def test_with_equal_decay_the_feedback_of_dkp_follows_the_last_weight() -> None:
    """The last block's B and the head's W then have equal updates, so B - W shrinks by the decay."""
    model, net, *_ = attached("dkp", feedback_lr=0.5, feedback_decay=0.1)
    gap = [feedback_of(net)[1].detach() - model[4].weight.detach()]
    for _ in range(3):
        step(net)
        torch.optim.SGD(net.parameter_groups(), lr=0.5, weight_decay=0.1).step()
        gap.append(feedback_of(net)[1].detach() - model[4].weight.detach())
    torch.testing.assert_close(gap[3], gap[0] * (1 - 0.5 * 0.1) ** 3)


def test_fdfa_averages_what_the_perturbations_of_all_blocks_do_to_the_output() -> None:
    """dB_l = B_l - mean over samples of d p_l^T, d = sum of J_k p_k; B starts at zero (Bacho and Chu 2024)."""
    torch.manual_seed(0)
    model = tanh_mlp()
    net = gb.attach(model, "fdfa", X, seed=3)
    assert all(torch.equal(B, torch.zeros_like(B)) for B in feedback_of(net))
    generator = torch.Generator().manual_seed(net.generator("perturbation").initial_seed())
    net.streams.restore(3, {})
    step(net)
    w1, b1, w2, b2, w3, _ = (p.detach() for p in model.parameters())
    h2 = torch.tanh(torch.tanh(X @ w1.T + b1) @ w2.T + b2)
    p1, p2 = torch.randn(N, 7, generator=generator), torch.randn(N, 5, generator=generator)
    d = (((1 - h2**2) * (p1 @ w2.T)) + p2) @ w3.T
    for B, p in zip(feedback_of(net), (p1, p2), strict=True):
        torch.testing.assert_close(B.grad, -sum(torch.outer(d[i], p[i]) for i in range(N)) / N)


def test_under_sgd_the_feedback_of_fdfa_is_a_running_average() -> None:
    """B <- (1 - a) B + a J^, with a the learning rate: twice as far in two steps of the same estimate."""
    _, net, *_ = attached("fdfa", feedback_lr=0.25)
    estimate = -feedback_of(net)[0].grad
    descend(net, lr=0.1)
    torch.testing.assert_close(feedback_of(net)[0].detach(), 0.25 * estimate)
    step(net)
    second = feedback_of(net)[0].detach() - feedback_of(net)[0].grad
    before = feedback_of(net)[0].detach().clone()
    descend(net, lr=0.1)
    torch.testing.assert_close(feedback_of(net)[0].detach(), 0.75 * before + 0.25 * second)


@pytest.mark.parametrize("beta", [0.0, 0.99, 1.0])
def test_predsim_adds_a_classifier_and_the_similarity_of_samples(beta: float) -> None:
    """(1 - beta) cross-entropy + beta mean over pairs of (cos(a h_i, a h_j) - cos(y_i, y_j))^2 (2019, eq. 1 to 3)."""
    model, net, (_, h1, h2), _ = attached("predsim", beta=beta)
    classifier, a = net.blocks[1].owned("classifier"), net.blocks[1].owned("similarity")
    assert torch.equal(classifier.weight, torch.zeros_like(classifier.weight))
    h = h2.clone().requires_grad_()
    seen, labels = h @ a.weight.T, F.one_hot(Y, CLASSES).float()
    seen, labels = seen - seen.mean(1, keepdim=True), labels - labels.mean(1, keepdim=True)
    matching = sum(
        (F.cosine_similarity(seen[i], seen[j], dim=0) - F.cosine_similarity(labels[i], labels[j], dim=0)) ** 2
        for i in range(N)
        for j in range(N)
    )
    prediction = F.cross_entropy(h @ classifier.weight.T + classifier.bias, Y)
    loss = (1 - beta) * prediction + beta * matching / N**2
    dh, da = torch.autograd.grad(loss, [h, a.weight], allow_unused=True, materialize_grads=True)
    torch.testing.assert_close(model[2].weight.grad, weight_gradient(dh, h2, h1), atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(a.weight.grad, da, atol=1e-6, rtol=1e-3)


def test_what_a_classifier_reads_is_averaged_down_to_4096_features() -> None:
    def features(channel: int, *shape: int) -> int:
        return pooled(torch.zeros(2, *shape), channel).shape[1]

    assert features(1, 64, 16, 16) == features(3, 16, 16, 64) == 4096 and features(1, 8, 8, 8) == 512
    assert features(2, 200, 64) == features(1, 64, 200) == 64 and features(1, 5000) == 5000
    torch.testing.assert_close(similarity(torch.eye(3)).diagonal(), torch.ones(3))


def test_dgl_trains_each_block_by_its_own_network() -> None:
    """dL/dh_l is the gradient of the auxiliary network's cross-entropy, and it learns too (Belilovsky et al. 2020)."""
    model, net, (_, h1, h2), _ = attached("dgl", layers=2)
    auxiliary = net.blocks[1].owned("auxiliary")
    h = h2.clone().requires_grad_()
    loss = F.cross_entropy(auxiliary(h), Y)
    dh, *own = torch.autograd.grad(loss, [h, *auxiliary.parameters()])
    torch.testing.assert_close(model[2].weight.grad, weight_gradient(dh, h2, h1))
    for parameter, expected in zip(auxiliary.parameters(), own, strict=True):
        torch.testing.assert_close(parameter.grad, expected)
    kinds = [type(layer).__name__ for layer in gb.make_rule("dgl")._of_maps(8, 4)]
    assert kinds == [
        "AdaptiveAvgPool2d",
        *["Conv2d", "BatchNorm2d", "ReLU"] * 3,
        "AdaptiveAvgPool2d",
        "Flatten",
        "Sequential",
    ]


# The shape of an input with one channel, and a network with blocks of 16 channels on the same axis.
ARRANGED = [
    ((1, 40), convolutions(1)),
    ((1, 2, 16), convolutions(2)),
    ((4, 6, 1), channels_last(24)),
    ((40, 1), channels_last(40)),
    ((1, 2, 3, 4), convolutions(3)),
]


@pytest.mark.parametrize(("shape", "model"), ARRANGED)
def test_what_dgl_adds_reads_channels_wherever_they_are(shape: tuple[int, ...], model: nn.Sequential) -> None:
    axis = shape.index(1) + 1
    net = gb.attach(copy.deepcopy(model), "dgl", torch.randn(4, *shape))
    block = net.blocks[1]
    output, target = torch.randn(4, *block.shape), F.one_hot(torch.arange(4), 10).float()
    first = output.movedim(axis, 1)
    scores = block.owned("auxiliary")(first if len(shape) == 3 else first.flatten(2).mean(2))
    torch.testing.assert_close(net.rule.loss(block, output, target), -(target * scores.log_softmax(1)).sum())


@pytest.mark.parametrize(("shape", "model"), ARRANGED)
def test_the_similarity_of_predsim_is_of_channels_wherever_they_are(
    shape: tuple[int, ...], model: nn.Sequential
) -> None:
    axis = shape.index(1) + 1
    net = gb.attach(copy.deepcopy(model), gb.make_rule("predsim", beta=1.0), torch.randn(4, *shape))
    block = net.blocks[1]
    output, target = torch.randn(4, *block.shape), F.one_hot(torch.arange(4), 10).float()
    weight = block.owned("similarity").weight
    assert weight.shape[:2] == (16, 16)
    if len(shape) == 3:
        seen = F.conv2d(output.movedim(axis, 1), weight, padding=1).flatten(2).std(2)
    else:
        seen = torch.tensordot(output, weight, dims=([axis], [1])).flatten(1)
    expected = 4 * (similarity(seen) - similarity(target)).square().mean()
    torch.testing.assert_close(net.rule.loss(block, output, target), expected)


def test_dni_predicts_the_gradient_that_the_block_above_sends_down() -> None:
    """M_l starts at zero; its target at the top is N e W, and below it the backward of one block (Jaderberg 2017)."""
    model, net, (_, h1, h2), e = attached("dni")
    m1, m2 = (block.owned("gradients")[-1] for block in net.blocks)
    assert not model[2].weight.grad.any() and not m1.weight.grad.any()
    w2, w3 = model[2].weight.detach(), model[4].weight.detach()
    torch.testing.assert_close(m2.weight.grad, -(N * e @ w3).T @ h2 / N)
    with torch.no_grad():
        m2.weight += 0.1
    step(net)
    predicted = h2 @ m2.weight.detach().T
    torch.testing.assert_close(model[2].weight.grad, weight_gradient(predicted / N, h2, h1))
    arrived = (predicted * (1 - h2**2)) @ w2
    torch.testing.assert_close(m1.weight.grad, -arrived.T @ h1 / N)


def test_dni_trains_the_blocks_above_frozen_layers() -> None:
    model = tanh_mlp()
    model[0].requires_grad_(False)
    net = gb.attach(model, "dni", X)
    for block in net.blocks:
        nn.init.ones_(block.owned("gradients")[-1].bias)
    step(net)
    assert model[0].weight.grad is None and model[2].weight.grad.any()


def test_ff_raises_the_goodness_of_right_labels_and_lowers_that_of_wrong_ones() -> None:
    """softplus(theta - g) on (x, label) + softplus(g - theta) on (x, another label), g the mean square of a block."""
    torch.manual_seed(0)
    model = tanh_mlp()
    net = gb.attach(model, gb.make_rule("ff", threshold=0.5), X, seed=3)
    shift = torch.randint(1, CLASSES, Y.shape, generator=net.generator("rule"))
    net.streams.restore(3, {})
    step(net)
    weights = [p.detach().clone().requires_grad_() for p in list(model.parameters())[:4]]
    w1, b1, w2, b2 = weights
    loss = torch.tensor(0.0)
    for sign, labels in ((1, Y), (-1, (Y + shift) % CLASSES)):
        labeled = X.clone()
        labeled[:, :CLASSES] = F.one_hot(labels, CLASSES) * X.max()
        h1 = torch.tanh(labeled @ w1.T + b1)
        h2 = torch.tanh((h1 / h1.square().mean(1, keepdim=True).sqrt()).detach() @ w2.T + b2)
        for h in (h1, h2):
            loss = loss + F.softplus(sign * (0.5 - h.square().mean(1))).mean()
    for own, expected in zip(list(model.parameters())[:4], torch.autograd.grad(loss, weights), strict=True):
        torch.testing.assert_close(own.grad, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("target", [Y.float(), F.one_hot(Y, CLASSES)])
def test_ff_asks_for_class_numbers(target: Tensor) -> None:
    net = gb.attach(tanh_mlp(), "ff", X)
    with pytest.raises(gb.UserError, match="no class numbers"):
        net.step(X, lambda output: F.cross_entropy(output, Y), target)


def test_spsa_takes_the_slope_between_two_forwards() -> None:
    """(L(w + c z) - L(w - c z)) / 2c times z; the weights come back to the bit, and the head has its true gradient."""
    torch.manual_seed(0)
    model = tanh_mlp().double()
    x = X.double()
    before = [p.detach().clone() for p in model.parameters()]
    net = gb.attach(model, gb.make_rule("spsa", radius=1e-4), x, seed=3)
    generator = torch.Generator().manual_seed(net.generator("perturbation").initial_seed())
    net.streams.restore(3, {})
    net.step(x, lambda output: F.cross_entropy(output, Y), Y)
    assert all(torch.equal(own, old) for own, old in zip(model.parameters(), before, strict=True))
    z = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in before[:4]]

    def loss(c: float) -> Tensor:
        w1, b1, w2, b2 = (p + c * direction for p, direction in zip(before, z, strict=False))
        return F.cross_entropy(torch.tanh(torch.tanh(x @ w1.T + b1) @ w2.T + b2) @ before[4].T + before[5], Y)

    slope = (loss(1e-4) - loss(-1e-4)) / 2e-4
    for own, direction in zip(list(model.parameters())[:4], z, strict=True):
        torch.testing.assert_close(own.grad, slope * direction, atol=1e-9, rtol=1e-6)
