import pytest
import torch
import torch.nn.functional as F

import grape_bench as gb
from grape_bench.rules.feedback import FEEDBACK
from grape_bench.rules.layout import Dense, PerChannel
from grape_bench.rules.refit import gathered, least_squares
from tests.network.problems import tanh_mlp
from tests.rules import reference


def test_least_squares_finds_the_matrix_behind_the_signals():
    B, errors = torch.randn(4, 7, dtype=torch.float64), torch.randn(200, 4, dtype=torch.float64)
    found = least_squares(torch.randn_like(B), errors, errors @ B)
    torch.testing.assert_close(found, B, rtol=1e-2, atol=1e-2)


def test_where_the_errors_tell_nothing_the_feedback_stays_in_the_scale_of_the_signals():
    errors = torch.tensor([[1.0, 0.0], [2.0, 0.0]])
    found = least_squares(torch.ones(2, 3), errors, 100 * errors @ torch.ones(2, 3))
    torch.testing.assert_close(found, torch.full((2, 3), 100.0), rtol=1e-2, atol=1e-2)


def test_gathering_is_the_transpose_of_spreading():
    for layout, shape in [(Dense(24), (2, 6, 4)), (PerChannel(6, 1), (2, 6, 2, 2))]:
        rows, signal = torch.randn(layout.row_count(torch.Size(shape)), layout.features), torch.randn(shape)
        spread = layout.spread(rows, torch.Size(shape))
        torch.testing.assert_close((spread * signal).sum(), (rows * gathered(layout, signal)).sum())


@pytest.fixture
def problem():
    model = tanh_mlp((5, 8, 6, 3)).double()
    return model, torch.randn(64, 5, dtype=torch.float64), torch.randint(3, (64,))


def test_one_batch_an_epoch_is_fitted_and_no_weight_takes_a_step_along_backpropagation(problem):
    """Against loops: B from the ridge equations, rows of norm one, and the gradients of DFA with it."""
    model, x, labels = problem
    rule = gb.make_rule("grape+refit", refresh=1000)
    net = gb.attach(model, rule, x)
    net.begin_epoch(batches=1)
    layers = [(model[i].weight.detach(), model[i].bias.detach()) for i in (0, 2, 4)]
    model(x)  # the refresh of GrAPE on the first batch; its backward never comes
    net.begin_epoch(batches=1)
    before = [block.load(FEEDBACK).clone() for block in net.blocks]
    F.cross_entropy(model(x), labels).backward()

    hidden = [reference.forward(layers, sample) for sample in x]
    E = torch.stack([reference.output_error(h[-1], int(y)) for h, y in zip(hidden, labels, strict=True)]) / 64
    expected = []
    for l, B in enumerate(before):
        G = []
        for n, h in enumerate(hidden):
            delta = layers[2][0].T @ E[n]
            if l == 0:
                delta = layers[1][0].T @ (delta * (1 - h[1] ** 2))
            G.append(delta)
        G = torch.stack(G)
        start = B * G.norm() / (E @ B).norm()
        ridge = 1e-3 * (E**2).sum(0).mean() * torch.eye(3, dtype=torch.float64)
        fitted = start + torch.linalg.inv(E.T @ E + ridge) @ E.T @ (G - E @ start)
        expected.append(torch.stack([row / row.norm() for row in fitted]))
    for B, found in zip(expected, net.blocks, strict=True):
        torch.testing.assert_close(found.load(FEEDBACK), B, rtol=1e-4, atol=1e-4)
    dW = reference.gradients(layers, x, labels, reference.dfa_signal(expected))[0][0]
    torch.testing.assert_close(model[0].weight.grad, dW, rtol=1e-3, atol=1e-6)


def test_it_aligns_the_signals_with_the_true_gradients(problem):
    model, x, labels = problem
    net = gb.attach(model, "bp", x)
    F.cross_entropy(model(x), labels).backward()
    true = model[0].weight.grad.clone()
    net.detach()
    cosines = []
    for rule in ("dfa", "grape+refit"):
        model.zero_grad()
        net = gb.attach(model, rule, x)
        net.begin_epoch(1)
        F.cross_entropy(model(x), labels).backward()
        cosines.append(F.cosine_similarity(model[0].weight.grad.flatten(), true.flatten(), dim=0).item())
        net.detach()
    assert cosines[1] > 0.9 > cosines[0]


def test_the_epoch_must_be_announced(problem):
    model, x, _ = problem
    gb.attach(model, "grape+refit", x)
    with pytest.raises(RuntimeError, match="begin_epoch"):
        model(x)


@pytest.mark.parametrize("silent", ["head", "loss"])
def test_without_a_signal_the_feedback_stays(silent, problem):
    """A head that starts at zero sends no signal below it. A loss of zero has no error, and its system is singular."""
    model, x, labels = problem
    net = gb.attach(model, gb.make_rule("grape+refit", refresh=1000), x)
    net.begin_epoch(batches=1)
    model(x)  # the refresh of GrAPE
    net.begin_epoch(batches=1)
    before = [block.load(FEEDBACK).clone() for block in net.blocks]
    if silent == "head":
        torch.nn.init.zeros_(model[-1].weight)
    (F.cross_entropy(model(x), labels) * (silent == "head")).backward()
    assert all(torch.equal(block.load(FEEDBACK), old) for block, old in zip(net.blocks, before, strict=True))
