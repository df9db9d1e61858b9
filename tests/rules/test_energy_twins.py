"""Rules of targets, states and energies, each against its paper's formula written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import grape_bench as gb
from grape_bench.job import run as training
from grape_bench.models.layered_energy import LayeredEnergy
from grape_bench.network.network import Network
from tests.job.jobs import job
from tests.network.problems import tanh_mlp

X, Y = torch.randn(12, 6, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 4
N, CLASSES = len(X), 4


def attached(rule: str, **settings: Any) -> tuple[nn.Sequential, Network, list[Tensor], Tensor]:
    """A tanh network 6-7-5-4 after one step, with blocks "1" and "3": its activations x, h1, h2, and the error."""
    torch.manual_seed(0)
    model = tanh_mlp()
    net = gb.attach(model, gb.make_rule(rule, **settings), X, seed=3)
    net.step(X, lambda output: F.cross_entropy(output, Y), Y)
    w1, b1, w2, b2, w3, b3 = (p.detach() for p in model.parameters())
    h1 = torch.tanh(X @ w1.T + b1)
    h2 = torch.tanh(h1 @ w2.T + b2)
    return model, net, [X, h1, h2], ((h2 @ w3.T + b3).softmax(1) - F.one_hot(Y, CLASSES)) / N


def weight_gradient(signal: Tensor, output: Tensor, below: Tensor) -> Tensor:
    """dW of h = tanh(W x) for dL/dh = signal."""
    return (signal * (1 - output**2)).T @ below


def test_pepita_is_algorithm_1() -> None:
    """dW_l = (h_l - h_l')^T h'_{l-1} / N, with the derivative of tanh, on x' = x + F N e; the head keeps e^T h_2."""
    model, net, (_, h1, h2), e = attached("pepita")
    projection = net.blocks[0].load("projection")
    assert projection.std().item() == pytest.approx(0.05 * (2 / 6) ** 0.5, rel=0.5)
    x = X + N * e @ projection
    with torch.no_grad():
        first = torch.tanh(model[0](x))
        second = torch.tanh(model[2](first))
    torch.testing.assert_close(model[0].weight.grad, weight_gradient((h1 - first) / N, first, x))
    torch.testing.assert_close(model[2].weight.grad, weight_gradient((h2 - second) / N, second, first))
    torch.testing.assert_close(model[4].weight.grad, e.T @ h2)


def test_pepita_needs_an_input_of_numbers() -> None:
    model = nn.Sequential(nn.Embedding(9, 6), nn.Flatten(), *tanh_mlp((18, 7, 5, 4)))
    with pytest.raises(gb.DoesNotApplyError, match="tensor of numbers"):
        gb.attach(model, "pepita", torch.zeros(2, 3, dtype=torch.long))


@pytest.mark.parametrize(("rule", "said"), [("pepita", "tensor of numbers"), ("ff", "no room for a label")])
def test_rules_that_change_the_input_need_a_tensor(rule: str, said: str) -> None:
    """One argument may hold several tensors: a dict, or a graph of PyTorch Geometric."""

    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mlp = tanh_mlp()

        def forward(self, given: dict[str, Tensor]) -> Tensor:
            out: Tensor = self.mlp(given["x"])
            return out

    with pytest.raises(gb.DoesNotApplyError, match=said):
        gb.attach(Reads(), rule, ({"x": X},))


@pytest.mark.parametrize("kind", ["tanh", "linear"])
def test_dtp_sends_differences_of_the_inverse_down_from_a_gradient_step_of_the_last_block(kind: str) -> None:
    """t_2 = h_2 - step N dL/dh_2; t_1 = h_1 + g_1(t_2) - g_1(h_2); dL/dh_l = (h_l - t_l) / N (algorithm 1)."""
    model, net, (x, h1, h2), e = attached("dtp", step=0.7, inverse=kind)
    linear = net.blocks[0].owned("inverse")[1]
    g1 = (lambda h: torch.tanh(linear(h))) if kind == "tanh" else linear
    t2 = h2 - 0.7 * N * e @ model[4].weight.detach()
    with torch.no_grad():
        t1 = h1 + g1(t2) - g1(h2)
    torch.testing.assert_close(model[2].weight.grad, weight_gradient((h2 - t2) / N, h2, h1))
    torch.testing.assert_close(model[0].weight.grad, weight_gradient((h1 - t1) / N, h1, x))
    torch.testing.assert_close(model[4].weight.grad, e.T @ h2)


def test_the_inverse_of_dtp_gives_noisy_activations_back_from_the_block_above() -> None:
    """dV of ||g_1(f_2(h_1 + noise)) - (h_1 + noise)||^2 / 2N, with noise on the clean h_1; the last block has none."""
    model, net, (_, h1, _), _ = attached("dtp", noise=0.5)
    net.streams.restore(3, {})
    noisy = h1 + 0.5 * torch.empty_like(h1).normal_(generator=net.rule.random(net.blocks[0]))
    assert len(net.owned.modules()) == 1
    linear = net.blocks[0].owned("inverse")[1]
    with torch.no_grad():
        above = torch.tanh(model[2](noisy))
    loss = sum((torch.tanh(linear(above[i])) - noisy[i]).square().sum() for i in range(N)) / (2 * N)
    torch.testing.assert_close(linear.weight.grad, torch.autograd.grad(loss, linear.weight)[0])


def test_the_inverses_of_dtp_learn_to_invert() -> None:
    torch.manual_seed(0)
    model = tanh_mlp((6, 4, 8, 4))
    net = gb.attach(model, gb.make_rule("dtp", noise=0.1), X)
    optimizer = torch.optim.Adam(net.owned.parameters(), lr=0.01)

    def gap() -> float:
        with torch.no_grad():
            h1 = torch.tanh(model[0](X))
            restored = net.blocks[0].owned("inverse")(torch.tanh(model[2](h1)))
            return float((restored - h1).square().mean() / h1.var())

    before = gap()
    for _ in range(200):
        optimizer.zero_grad()
        net.step(X, lambda output: F.cross_entropy(output, Y))
        optimizer.step()
    assert gap() < 0.1 * before


def test_pc_with_one_step_is_backpropagation_scaled() -> None:
    """After one step of rate r, v_2 = h_2 - r N dL/dh_2. So block 2 gets r times BP's gradient, at h_1."""
    model, _, (_, h1, h2), e = attached("pc", steps=1, rate=0.1)
    signal = e @ model[4].weight.detach()
    torch.testing.assert_close(model[2].weight.grad, 0.1 * weight_gradient(signal, h2, h1))


def test_pc_descends_the_energy_of_states_and_weights() -> None:
    """v_l <- v_l - r dE/dv_l, E_i = L_i + sum_l (v_l - f_l(v_{l-1}))^2 / 2 for each sample; then dE/dW."""
    model, _, (x, h1, h2), _ = attached("pc", steps=3, rate=0.2)
    w2, b2, w3, b3 = (p.detach() for p in list(model.parameters())[2:])
    v1, v2 = h1.clone(), h2.clone()
    for _ in range(3):
        f2 = torch.tanh(v1 @ w2.T + b2)
        wrong1, wrong2 = v1 - h1, v2 - f2
        error = (v2 @ w3.T + b3).softmax(1) - F.one_hot(Y, CLASSES)
        v1, v2 = (
            v1 - 0.2 * (wrong1 - (wrong2 * (1 - f2**2)) @ w2),
            v2 - 0.2 * (wrong2 + error @ w3),
        )
    f2 = torch.tanh(v1 @ w2.T + b2)
    torch.testing.assert_close(model[0].weight.grad, weight_gradient(-(v1 - h1) / N, h1, x))
    torch.testing.assert_close(model[2].weight.grad, weight_gradient(-(v2 - f2) / N, f2, v1))


def test_pc_approaches_backpropagation() -> None:
    """With small steps, the equilibrium's gradients point along BP's in every block (Whittington and Bogacz)."""
    model, *_ = attached("pc", steps=50, rate=0.02)
    torch.manual_seed(0)
    bp = tanh_mlp()
    F.cross_entropy(bp(X), Y).backward()
    for index in (0, 2):
        own, true = model[index].weight.grad.flatten(), bp[index].weight.grad.flatten()
        assert torch.cosine_similarity(own, true, dim=0) > 0.95


def energy_model(steps: int = 20, hidden: tuple[int, ...] = (7, 5)) -> LayeredEnergy:
    torch.manual_seed(0)
    return LayeredEnergy((6,), CLASSES, hidden=hidden, steps=steps)


def squared(output: Tensor) -> Tensor:
    """The paper's loss, as a mean over samples."""
    return (output - F.one_hot(Y, CLASSES)).square().sum() / (2 * len(output))


def rested(model: LayeredEnergy, x: Tensor, states: list[Tensor], steps: int, beta: float) -> list[Tensor]:
    """The states s <- clamp(s - dE/ds / 2 + beta (y* - y) / 2) of every layer and sample, unit by unit."""
    weights = [layer.weight.detach() for layer in (*model.hidden, model.head)]
    biases = [layer.bias.detach() for layer in (*model.hidden, model.head)]
    for _ in range(steps):
        below, new = [x, *states[:-1]], []
        for level, state in enumerate(states):
            drive = below[level] @ weights[level].T + biases[level]
            if level + 1 < len(states):
                drive = drive + states[level + 1] @ weights[level + 1]
            else:
                drive = drive + beta * (F.one_hot(Y, CLASSES) - state)
            new.append((state + 0.5 * (drive - state)).clamp(0, 1))
        states = new
    return states


@pytest.mark.parametrize("symmetric", [False, True])
def test_ep_compares_the_products_of_states_with_and_without_the_force(symmetric: bool) -> None:
    """dW_l = -(s_l' s_{l-1}' - s_l s_{l-1}) / beta, db_l = -(s_l' - s_l) / beta, means over samples (eq. 10 to 12)."""
    model = energy_model()
    rule = gb.make_rule("ep", beta=0.8, steps=5, symmetric=symmetric)
    net = gb.attach(model, rule, X, seed=3)
    sign = 1.0 if symmetric else 2.0 * int(torch.randint(2, (), generator=net.generator("perturbation"))) - 1.0
    net.streams.restore(3, {})
    output = model(X)
    with net.informed(squared):
        squared(output).backward()
    states = rested(model, X, [torch.zeros(N, size) for size in (7, 5, 4)], 20, 0.0)
    free: list[Tensor] = []
    for level, layer in enumerate((*model.hidden, model.head)):  # the last sweep, from the input to the output
        drive = [X, *free][level] @ layer.weight.detach().T + layer.bias.detach()
        above = (*model.hidden, model.head)[level + 1].weight.detach() if level < 2 else None
        free.append((drive if above is None else drive + states[level + 1] @ above).clamp(0, 1))
    torch.testing.assert_close(output.detach(), free[-1])
    nudged = rested(model, X, free, 5, sign * 0.8)
    other, distance = (rested(model, X, free, 5, -0.8), 1.6) if symmetric else (free, sign * 0.8)
    for level, layer in enumerate((*model.hidden, model.head)):
        ends = [(end[level], [X, *end][level]) for end in (nudged, other)]
        (high, low_high), (base, low_base) = ends
        expected = -(high.T @ low_high - base.T @ low_base) / (distance * N)
        torch.testing.assert_close(layer.weight.grad, expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(layer.bias.grad, -(high - base).sum(0) / (distance * N), atol=1e-5, rtol=1e-4)


def test_at_rest_and_with_a_weak_force_ep_is_the_gradient_of_the_loss() -> None:
    """The paper's theorem 1, against autograd through the whole relaxation."""
    model, x = energy_model(steps=300).double(), X.double()
    with torch.no_grad():
        for layer in (*model.hidden, model.head):
            layer.bias += 0.3  # states between their limits
    net = gb.attach(model, gb.make_rule("ep", beta=1e-4, steps=300, symmetric=True), x)
    net.step(x, squared)
    states = [torch.zeros(N, size, dtype=torch.float64) for size in (7, 5, 4)]
    layers = (*model.hidden, model.head)
    for _ in range(300):
        drives = [F.linear(low, layer.weight, layer.bias) for low, layer in zip([x, *states], layers, strict=False)]
        tops = [states[1] @ layers[1].weight, states[2] @ layers[2].weight, torch.zeros(())]
        states = [(s + 0.5 * (d + t - s)).clamp(0, 1) for s, d, t in zip(states, drives, tops, strict=True)]
    parameters = list(model.parameters())
    for parameter, true in zip(parameters, torch.autograd.grad(squared(states[-1]), parameters), strict=True):
        assert true.any()
        torch.testing.assert_close(parameter.grad, true, atol=1e-6, rtol=1e-3)


def test_ep_takes_any_loss_of_the_output() -> None:
    """The force is -beta dL/dy: with a weak force and at rest, cross-entropy's gradient falls the cross-entropy."""
    model = energy_model(steps=60)
    net = gb.attach(model, gb.make_rule("ep", beta=0.1, steps=20), X)
    optimizer = torch.optim.SGD(net.parameter_groups(), lr=0.5)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        losses.append(net.step(X, lambda output: F.cross_entropy(4 * output, Y)).item())
        optimizer.step()
    assert losses[-1] < losses[0] - 0.2
    assert set(net.report().values()) == {"rule"} and net.bp_fraction == 0


def test_ep_refuses_models_without_an_energy() -> None:
    with pytest.raises(gb.DoesNotApplyError, match="W\\^T"):
        gb.attach(tanh_mlp(), "ep", X)
    with pytest.raises(gb.DoesNotApplyError, match="at each of its hidden layers"):
        gb.attach(energy_model(hidden=(7, 6, 5)), "ep", X, blocks=["hidden.0", "hidden.2"])


@pytest.mark.parametrize(
    ("model", "hidden", "rules"), [("mlp", [64, 64], ("pepita", "dtp", "pc")), ("layered-energy", [64], ("ep",))]
)
def test_they_learn_digits_better_than_the_control(model: str, hidden: list[int], rules: tuple[str, ...]) -> None:
    def score(rule: str) -> float:
        settings: dict[str, Any] = {"model": model, "model_args": {"hidden": hidden}, "epochs": 6, "profile": False}
        spec = job(rule, **settings, optimizer={"name": "adamw", "lr": 3e-3})
        found: float = training.run(spec, lambda row: None)["result"]["test"]
        return found

    control = score("head-only")
    scores = {rule: score(rule) for rule in rules}
    assert {rule: value for rule, value in scores.items() if value < control + 5} == {}, (scores, control)


def test_a_nudged_phase_of_ep_counts_as_a_forward() -> None:
    for symmetric, forwards in ((False, 2), (True, 3)):
        net = gb.attach(energy_model(), gb.make_rule("ep", symmetric=symmetric), X)
        net.step(X, squared)
        assert (net.counts.steps, net.counts.forward) == (1, forwards)


def test_ep_computes_in_full_precision_also_under_autocast() -> None:
    """The states of the two phases differ by little. fp16 training scales the loss."""

    def gradients(dtype: torch.dtype | None) -> list[Tensor]:
        model = energy_model()
        net = gb.attach(model, "ep", X)
        net.loss_scale = 1024.0 if dtype else 1.0
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            loss = squared(model(X))
        with net.informed(squared):
            (net.loss_scale * loss).backward()
        return [parameter.grad / net.loss_scale for parameter in model.parameters()]

    torch.testing.assert_close(gradients(torch.bfloat16), gradients(None))
