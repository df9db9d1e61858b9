"""Rules for recurrent, spiking and graph networks, each against its paper's formula in plain loops."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import grape_bench as gb
from grape_bench.data import load
from grape_bench.data.dataset import DataSet
from grape_bench.errors import DoesNotApplyError, UserError
from grape_bench.models import build
from grape_bench.models.inputs import Inputs
from grape_bench.network.lean import lean_step
from grape_bench.network.network import Network

N, T, INPUTS, UNITS, CLASSES = 3, 5, 2, 4, 4
X = torch.randn(N, INPUTS, T, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.arange(N) % CLASSES


def attached(rule: str, model: str, *, x: Tensor = X, settings: dict[str, Any] | None = None, **args: Any) -> Network:
    """A network of one layer after one step, in the precision of `x`."""
    torch.manual_seed(0)
    made = build(model, shape=tuple(x.shape[1:]), classes=CLASSES, args={"hidden": [UNITS], **args}).to(x.dtype)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter *= 2  # so that the spiking neurons fire
    net = gb.attach(
        made, gb.make_rule(rule, **settings or {}), x, blocks=["hidden.*" if model == "snn" else "layers.*"]
    )
    net.step(x, lambda output: F.cross_entropy(output, Y), Y)
    return net


def parameter(net: Network, name: str) -> Tensor:
    return net.model.get_parameter(name).detach()


def gradient(net: Network, name: str) -> Tensor:
    found = net.model.get_parameter(name).grad
    assert found is not None
    return found


def feedback(net: Network) -> Tensor:
    return net.blocks[0].load("feedback")


def error_of(net: Network, x: Tensor = X) -> Tensor:
    return (net.model(x).detach().softmax(1) - F.one_hot(Y, CLASSES)) / N


def same(found: Tensor, expected: Tensor) -> None:
    tolerance = 1e-9 if found.dtype == torch.float64 else 1e-6
    torch.testing.assert_close(found, expected, rtol=1e3 * tolerance, atol=tolerance, check_dtype=False)
    assert expected.abs().max() > 1e-4


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_rflo_multiplies_random_feedback_by_leaky_traces(activation: str) -> None:
    """dW_ab = sum_t (B^T e_t)_a p_ab^t, p_ab^t = (1 - 1/tau) p_ab^{t-1} + 1/tau f'(u_a^t) h_b^{t-1} (Murray 2019)."""
    net = attached("rflo", "rnn", leak=0.3, activation=activation)
    W, U, b = (parameter(net, f"layers.0.cell.{name}") for name in ("recurrent.weight", "inputs.weight", "inputs.bias"))
    L, leak = error_of(net) @ feedback(net), 0.3  # the head reads the last step, so only there is an error
    f = getattr(torch, activation)
    slope = (lambda u: 1 - torch.tanh(u) ** 2) if activation == "tanh" else (lambda u: (u > 0).double())
    dW, dU, db = torch.zeros_like(W), torch.zeros_like(U), torch.zeros_like(b)
    for n in range(N):
        h = torch.zeros(UNITS, dtype=torch.float64)
        p, q, r = torch.zeros_like(W), torch.zeros_like(U), torch.zeros_like(b)
        for t in range(T):
            u = W @ h + U @ X[n, :, t] + b
            for i in range(UNITS):
                p[i] = (1 - leak) * p[i] + leak * slope(u[i]) * h
                q[i] = (1 - leak) * q[i] + leak * slope(u[i]) * X[n, :, t]
                r[i] = (1 - leak) * r[i] + leak * slope(u[i])
            h = (1 - leak) * h + leak * f(u)
        for i in range(UNITS):
            dW[i] += L[n, i] * p[i]
            dU[i] += L[n, i] * q[i]
            db[i] += L[n, i] * r[i]
    same(gradient(net, "layers.0.cell.recurrent.weight"), dW)
    same(gradient(net, "layers.0.cell.inputs.weight"), dU)
    same(gradient(net, "layers.0.cell.inputs.bias"), db)


SPIKING = {"steps": 6, "beta": 0.8, "recurrent": True}
SLOPE = 25  # of snntorch's fast sigmoid


def surrogate(distance: Tensor) -> Tensor:
    """The derivative of a spike with respect to the distance of the potential to the threshold."""
    return 1 / (SLOPE * distance.abs() + 1) ** 2


@pytest.mark.parametrize("carried", [True, False])
def test_on_spiking_neurons_traces_are_filtered_spikes_times_the_pseudo_derivative(carried: bool) -> None:
    """e_ji^t = psi_j^t eps_i^t, eps_i^t = beta eps_i^{t-1} + z_i^{t-1} (Bellec et al. 2020, eq. 22 to 24).

    The head reads the mean of all steps, so e_t = e / T. `dfa-time` has no trace: only the spikes of one step count.
    """
    pytest.importorskip("snntorch")
    x = X[:, :, 0].float()  # snntorch counts spikes in single precision
    net = attached("eprop" if carried else "dfa-time", "snn", x=x, **SPIKING)
    V, W, b = (parameter(net, f"hidden.0.{name}") for name in ("recurrent.weight", "linear.weight", "linear.bias"))
    V, W, b, x = V.double(), W.double(), b.double(), x.double()
    steps, beta = 6, 0.8
    kept = beta if carried else 0.0
    L = error_of(net, x.float()).double() @ feedback(net).double() / (steps if carried else steps**0.5)
    dV, dW, spiked = torch.zeros_like(V), torch.zeros_like(W), 0.0
    for n in range(N):
        v, z = torch.zeros(UNITS, dtype=torch.float64), torch.zeros(UNITS, dtype=torch.float64)
        of_spikes, of_inputs = torch.zeros(UNITS, dtype=torch.float64), torch.zeros(INPUTS, dtype=torch.float64)
        for _ in range(steps):
            of_spikes, of_inputs = kept * of_spikes + z, kept * of_inputs + x[n]
            v = beta * v + W @ x[n] + b + V @ z - (v > 1).double()
            z, psi = (v > 1).double(), surrogate(v - 1)
            spiked += float(z.sum())
            for j in range(UNITS):
                dV[j] += L[n, j] * psi[j] * of_spikes
                dW[j] += L[n, j] * psi[j] * of_inputs
    assert 0 < spiked < N * steps * UNITS
    same(gradient(net, "hidden.0.recurrent.weight"), dV)
    same(gradient(net, "hidden.0.linear.weight"), dW)


@pytest.mark.parametrize("carried", [True, False])
def test_on_an_lstm_traces_follow_the_cell_state(carried: bool) -> None:
    """eps^t = f_t eps^{t-1} + dc_t/dW, with h_{t-1} a constant, and e^t = dh_t/dc_t eps^t (Bellec et al. 2020).

    The output gate has no trace. `dfa-time` sends the error to every step and keeps no trace at all.
    """
    net = attached("eprop" if carried else "dfa-time", "lstm")
    W, V, b, c0 = (
        parameter(net, f"layers.0.cell.{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    L = error_of(net) @ feedback(net)
    signals = [L if t == T - 1 else 0 * L for t in range(T)] if carried else [L / T**0.5] * T
    dV = torch.zeros_like(V)
    for n in range(N):
        h, c = torch.zeros(UNITS, dtype=torch.float64), torch.zeros(UNITS, dtype=torch.float64)
        eps = torch.zeros(3, UNITS, UNITS, dtype=torch.float64)  # of the gates i, f, g: unit, sender
        for t in range(T):
            i, f, g, o = (W @ X[n, :, t] + V @ h + b + c0).view(4, UNITS)
            i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
            local = (g * i * (1 - i), c * f * (1 - f), i * (1 - g**2))
            c = f * c + i * g
            for j in range(UNITS):
                down = signals[t][n, j] * o[j] * (1 - torch.tanh(c[j]) ** 2)
                for gate in range(3):
                    eps[gate, j] = (f[j] if carried else 0) * eps[gate, j] + local[gate][j] * h
                    dV[gate * UNITS + j] += down * eps[gate, j]
                dV[3 * UNITS + j] += signals[t][n, j] * torch.tanh(c[j]) * o[j] * (1 - o[j]) * h
            h = o * torch.tanh(c)
    same(gradient(net, "layers.0.cell.weight_hh_l0"), dV)


def test_dfa_in_time_stops_gradients_between_the_steps_of_a_gru() -> None:
    """Each step alone: autograd of one step from the states of the forward, with the signal B^T e / sqrt(T)."""
    net = attached("dfa-time", "gru")
    cell = net.model.get_submodule("layers.0.cell")
    assert isinstance(cell, nn.GRU)
    signal = error_of(net) @ feedback(net) / T**0.5
    states = torch.cat([torch.zeros(N, 1, UNITS, dtype=torch.float64), cell(X.transpose(1, 2))[0].detach()], 1)
    one = nn.GRUCell(INPUTS, UNITS).double()
    one.load_state_dict({name.removesuffix("_l0"): value for name, value in cell.state_dict().items()})
    for t in range(T):
        one(X[:, :, t], states[:, t]).backward(signal)
    same(gradient(net, "layers.0.cell.weight_hh_l0"), one.weight_hh.grad)
    same(gradient(net, "layers.0.cell.weight_ih_l0"), one.weight_ih.grad)


def test_symmetric_eprop_is_bp_where_neurons_have_no_recurrent_weights() -> None:
    pytest.importorskip("snntorch")
    settings = {"steps": 6, "beta": 0.8}
    nets = [
        attached(rule, "snn", x=X[:, :, 0].float(), settings=own, **settings)
        for rule, own in (("bp", {}), ("eprop", {"broadcast": "symmetric"}))
    ]
    same(gradient(nets[1], "hidden.0.linear.weight"), gradient(nets[0], "hidden.0.linear.weight"))
    assert nets[1].rule.weight_transport and not gb.make_rule("eprop").weight_transport
    with pytest.raises(DoesNotApplyError, match="linear head that reads every recurrent layer"):
        attached("eprop", "snn", x=X[:, :, 0].float(), settings={"broadcast": "symmetric"}, hidden=[UNITS, UNITS])


NODES, EDGES = 7, torch.tensor([[0, 1, 1, 2, 3, 4, 4, 5, 2, 6], [1, 0, 2, 1, 4, 3, 5, 4, 3, 6]])  # 6 has a loop


def flat_gcn(features: int, hidden: int) -> nn.Module:
    """A GCN of two hidden layers without dropout."""
    from grape_bench.models.gcn import gcn

    given = Inputs((torch.zeros(1, features), torch.zeros(2, 0, dtype=torch.int64)), unit="node")
    return gcn((features,), 3, given, hidden=(hidden, hidden), dropout=0.0)


def node_loss(output: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(output, target, ignore_index=-100)


@pytest.mark.parametrize("alpha", [0.0, 0.6])
def test_dfa_gnn_spreads_errors_to_unlabeled_nodes_and_along_powers_of_the_graph(alpha: float) -> None:
    """E* of E <- (1 - alpha) E_0 + alpha S E, scaled to the mean labeled error; dL/dX_l = S^(L-l) E B_l."""
    pytest.importorskip("torch_geometric")
    torch.manual_seed(0)
    model, x = flat_gcn(4, hidden=5).double(), torch.randn(NODES, 4, dtype=torch.float64)
    target = torch.tensor([0, -100, -100, 1, -100, 2, -100])
    net = gb.attach(model, gb.make_rule("dfa-gnn", alpha=alpha, iterations=4), (x, EDGES))
    net.step((x, EDGES), lambda output: node_loss(output, target), target)
    A = torch.eye(NODES, dtype=torch.float64)
    for source, node in EDGES.T.tolist():
        A[node, source] = 1
    S = torch.stack(
        [torch.stack([A[i, j] / (A[i].sum() * A[j].sum()).sqrt() for j in range(NODES)]) for i in range(NODES)]
    )
    E = model(x, EDGES).detach().softmax(1)
    for node in range(NODES):
        E[node] = (E[node] - F.one_hot(target[node], 3)) / 3 if target[node] >= 0 else 0
    spread = E
    for _ in range(4):
        spread = (1 - alpha) * E + alpha * S.T @ spread
    size = sum(E[node].abs().sum() for node in (0, 3, 5)) / 3
    errors = E.clone()
    for node in (1, 2, 4):
        errors[node] = spread[node] / spread[node].abs().sum() * size if alpha else 0
    below = x
    for layer in (0, 1):
        convolution = model.get_submodule(f"layers.{layer}.convolution")
        pre = S @ below @ convolution.lin.weight.T + convolution.bias
        signal = torch.linalg.matrix_power(S.T, 2 - layer) @ errors @ net.blocks[layer].load("feedback")
        same(gradient(net, f"layers.{layer}.convolution.lin.weight"), (signal * (pre > 0)).T @ S @ below)
        below = pre.clamp(min=0).detach()
    assert float(errors[6].abs().sum()) == 0  # a node without neighbors has no pseudo-error


def clusters() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """90 nodes in three clusters, 15 of them labeled. Returns features, edges, all labels, and the targets."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(90) % 3
    chance = torch.where(labels[:, None] == labels[None], 0.12, 0.02)
    pairs = torch.triu(torch.rand(90, 90, generator=generator) < chance, 1).nonzero().T
    x = torch.randn(90, 12, generator=generator) / 2
    x[:, :3] += F.one_hot(labels, 3)
    return x, torch.cat([pairs, pairs.flip(0)], 1), labels, torch.where(torch.arange(90) < 15, labels, -100)


def node_accuracy(rule: str) -> float:
    torch.manual_seed(0)
    x, edges, labels, target = clusters()
    model = flat_gcn(12, hidden=4)
    net = gb.attach(model, rule, (x, edges))
    optimizer = torch.optim.Adam(net.parameter_groups(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        net.step((x, edges), lambda output: node_loss(output, target), target)
        optimizer.step()
    return float((model(x, edges).argmax(1) == labels)[15:].float().mean())


def test_dfa_gnn_trains_where_few_nodes_have_labels() -> None:
    pytest.importorskip("torch_geometric")
    assert node_accuracy("dfa-gnn") > node_accuracy("head-only") + 0.1


def accuracy(rule: str, model: str, data: DataSet, args: dict[str, Any], *, steps: int = 100) -> float:
    """The test accuracy after a short training with Adam."""
    torch.manual_seed(0)
    made = build(model, shape=data.shape, classes=data.classes, args=args, data=data)
    generator = torch.Generator().manual_seed(0)
    batches = [batch for _ in range(9) for batch in data.train.batches(64, generator=generator)][:steps]
    (inputs, named), _ = batches[0]
    net = gb.attach(made, rule, named or inputs)
    optimizer = torch.optim.Adam(net.parameter_groups(), lr=0.01)
    for (inputs, named), labels in batches:
        optimizer.zero_grad()
        net.step(named or inputs, lambda output, labels=labels: F.cross_entropy(output, labels), labels)
        optimizer.step()
    hits = [(made.eval()(*i, **n).argmax(1) == labels) for (i, n), labels in data.test.batches(500)]
    return float(torch.cat(hits).float().mean())


ORDER = ("temporal_order", {"length": 12, "samples": 1000}, {"hidden": [16, 16]})
POINTS = ("yin_yang", {"limit": 1000}, {"hidden": [24, 24], "steps": 8})


@pytest.mark.parametrize(
    ("rule", "model", "task"),
    [
        ("rflo", "rnn", ORDER),
        ("eprop", "lstm", ORDER),
        ("eprop", "snn", POINTS),
        ("dfa-time", "gru", ORDER),
        ("dfa-time", "snn", POINTS),
    ],
)
def test_it_trains_what_a_head_alone_cannot(rule: str, model: str, task: tuple[str, Any, Any]) -> None:
    """Which of two symbols came first, or a point's place in a drawing: both need the hidden layers."""
    if model == "snn":
        pytest.importorskip("snntorch")
    name, options, args = task
    data = load(name, args=options, device=torch.device("cpu"))
    assert accuracy(rule, model, data, args) > accuracy("head-only", model, data, args) + 0.1


@pytest.mark.slow
def test_dfa_gnn_trains_on_cora() -> None:
    pytest.importorskip("torch_geometric")
    if not (Path(os.environ.get("GRAPE_BENCH_DATA", "")) / "cora" / "graph.parquet").exists():
        pytest.skip("$GRAPE_BENCH_DATA has no cora")
    data = load("cora", args={}, device=torch.device("cpu"))
    (inputs, _), target = next(iter(data.train.batches(1)))
    _, expected = next(iter(data.test.batches(1)))
    found = {}
    for rule in ("head-only", "dfa-gnn"):
        torch.manual_seed(0)
        made = build("gcn", shape=data.shape, classes=data.classes, args={"hidden": [16, 16]}, data=data)
        net = gb.attach(made, rule, inputs)
        optimizer = torch.optim.Adam(net.parameter_groups(), lr=0.01, weight_decay=5e-4)
        for _ in range(50):
            optimizer.zero_grad()
            net.step(inputs, lambda output: node_loss(output, target), target)
            optimizer.step()
        found[rule] = float((made.eval()(*inputs).argmax(1) == expected)[expected >= 0].float().mean())
    assert found["dfa-gnn"] > found["head-only"] + 0.1


@pytest.mark.parametrize(
    ("rule", "model", "reason"),
    [
        ("eprop", "gru", "defined for spiking neurons, LSTMs"),
        ("eprop", "rnn", "defined for spiking neurons, LSTMs"),
        ("rflo", "lstm", "defined for leaky rate units"),
        ("dfa-gnn", "lstm", "needs features"),
    ],
)
def test_a_rule_is_refused_where_it_is_not_defined(rule: str, model: str, reason: str) -> None:
    with pytest.raises(DoesNotApplyError, match=reason):
        attached(rule, model)


def test_a_lean_step_is_refused_because_it_would_send_gradients_through_time() -> None:
    net = attached("rflo", "rnn")
    optimizer = torch.optim.SGD(net.parameter_groups(), lr=0.1)
    with pytest.raises(UserError, match="cannot train block by block"):
        lean_step(net, ((X,), {}), lambda output: F.cross_entropy(output, Y), optimizer)


def test_feedback_is_one_matrix_for_all_steps_and_settings_are_checked() -> None:
    net = attached("eprop", "lstm")
    (kept,) = net.feedback().values()
    assert kept.kind == "per-step" and kept.shape == (CLASSES, UNITS)
    with pytest.raises(UserError, match="broadcast = 'sym' is not one of random, symmetric"):
        gb.make_rule("eprop", broadcast="sym")
    with pytest.raises(UserError, match="alpha must be"):
        gb.make_rule("dfa-gnn", alpha=1.0)


@pytest.mark.parametrize("rule", ["eprop", "rflo", "dfa-time", "dfa-gnn"])
def test_a_feedforward_network_is_refused(rule: str) -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))
    with pytest.raises(DoesNotApplyError):
        gb.attach(model, rule, torch.randn(3, 2))
    assert not [name for name, _ in model.named_buffers()]


def test_the_logits_are_the_models_own_and_padding_has_no_signal() -> None:
    """The error of a padded sequence enters at its last real step."""
    torch.manual_seed(0)
    made = build("lstm", shape=(INPUTS, T), classes=CLASSES, args={"hidden": [UNITS, UNITS]}).double()
    mask = torch.arange(T).expand(N, T) < torch.tensor([[T], [2], [3]])
    batch = {"x": X, "mask": mask}
    plain = made(**batch)
    net = gb.attach(made, "eprop", batch)
    assert torch.equal(made(**batch), plain)
    net.step(batch, lambda output: F.cross_entropy(output[1:2], Y[1:2]), Y)
    gradients = [gradient(net, name) for name, _ in made.named_parameters()]
    short = {"x": X[1:2, :, :2], "mask": torch.ones(1, 2, dtype=torch.bool)}
    for parameter in made.parameters():
        parameter.grad = None
    net.step(short, lambda output: F.cross_entropy(output, Y[1:2]), Y[1:2])
    for name, expected in zip(dict(made.named_parameters()), gradients, strict=True):
        torch.testing.assert_close(gradient(net, name), expected)
