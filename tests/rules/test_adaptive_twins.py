"""Rules with adaptive feedback, approximate gradients and a finish, each against its paper's formula written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import grape_bench as gb
from grape_bench.errors import UserError
from grape_bench.job import run as training
from grape_bench.network.network import Network
from tests.job.jobs import job
from tests.network.problems import convolutions, tanh_mlp

X, Y = torch.randn(12, 6, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 4
N, CLASSES = len(X), 4


def attached(rule: str, seed: int = 0, **settings: Any) -> tuple[nn.Sequential, Network]:
    """A tanh network 6-7-5-4 with blocks "1" and "3", in double precision."""
    torch.manual_seed(0)
    model = tanh_mlp().double()
    return model, gb.attach(model, gb.make_rule(rule, **settings), X.double(), seed=seed)


def step(net: Network) -> None:
    net.model.zero_grad()
    net.step(X.double(), lambda output: F.cross_entropy(output, Y), Y)


def activations(model: nn.Sequential) -> tuple[list[Tensor], Tensor]:
    """The activations x, h1, h2, and the error."""
    w1, b1, w2, b2, w3, b3 = (p.detach() for p in model.parameters())
    h1 = torch.tanh(X.double() @ w1.T + b1)
    h2 = torch.tanh(h1 @ w2.T + b2)
    return [X.double(), h1, h2], ((h2 @ w3.T + b3).softmax(1) - F.one_hot(Y, CLASSES)) / N


def weight_gradient(signal: Tensor, output: Tensor, below: Tensor) -> Tensor:
    """dW of h = tanh(W x) for dL/dh = signal."""
    return (signal * (1 - output**2)).T @ below


def gradients(model: nn.Module) -> list[Tensor]:
    return [parameter.grad.clone() for parameter in model.parameters()]


def exact() -> list[Tensor]:
    """The gradients of backpropagation."""
    model, net = attached("bp")
    step(net)
    return gradients(model)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "rule",
    ["grape", "grape-lazy", "grape-quarter", "grape+refit", "ebd", "kp", "pfa", "wm", "dkp", "fdfa", "dtp", "dni"],
)
def test_learned_feedback_outlives_a_batch_that_is_not_finite(rule: str, bad: float) -> None:
    """As under bp and dfa, a training loop that skips this step goes on."""
    model, net = attached(rule)
    net.begin_epoch(1)  # the first batch is that of the fit
    net.step(torch.full_like(X.double(), bad), lambda output: F.cross_entropy(output, Y), Y)
    net.begin_epoch(1)
    step(net)
    assert all(gradient.isfinite().all() for gradient in gradients(model))


def test_a_batch_that_is_not_finite_does_not_count_in_the_alignment_that_grape_watches() -> None:
    model, net = attached("grape")
    net.rule.watch_alignment()
    step(net)
    watched = net.rule.alignment
    model(torch.full_like(X.double(), torch.nan))
    assert net.rule.alignment == watched


def test_ebd_sends_the_error_through_the_running_correlation() -> None:
    """R <- memory R + (1 - memory) / N sum of h_n e_n^T, and dL/dh_n = rate R e_n (2025, eq. 4 and 7)."""
    model, net = attached("ebd", memory=0.9, start=0.5, rate=2.0)
    start = net.blocks[1].load("correlation").clone()
    (_, h1, h2), e = activations(model)
    assert 0.3 < start.std() < 0.7
    step(net)
    samples = sum(torch.outer(h2[n], N * e[n]) for n in range(N)) / N
    correlation = 0.9 * start + 0.1 * samples
    torch.testing.assert_close(net.blocks[1].load("correlation"), correlation, check_dtype=False)
    signal = torch.stack([2 * correlation.double() @ e[n] for n in range(N)])
    torch.testing.assert_close(model[2].weight.grad, weight_gradient(signal, h2, h1), rtol=1e-5, atol=1e-8)


def test_mono_forward_trains_each_block_and_its_projection_by_one_loss() -> None:
    """G = M h; L = cross-entropy of G: dL/dh = M^T (softmax(G) - y) / N, dM = (softmax(G) - y) h^T / N (2025)."""
    torch.manual_seed(0)
    model = tanh_mlp()
    net = gb.attach(model, "mono-forward", X)
    net.step(X, lambda output: F.cross_entropy(output, Y), Y)
    w1, b1, w2, b2, *_ = (p.detach() for p in model.parameters())
    h1 = torch.tanh(X @ w1.T + b1)
    h2 = torch.tanh(h1 @ w2.T + b2)
    m = net.blocks[1].owned("projection").weight
    gap = ((h2 @ m.T).softmax(1) - F.one_hot(Y, CLASSES)).detach() / N
    torch.testing.assert_close(m.grad, sum(torch.outer(gap[n], h2[n]) for n in range(N)))
    torch.testing.assert_close(model[2].weight.grad, weight_gradient(gap @ m.detach(), h2, h1))


def test_pfa_sends_the_error_through_b_and_then_r_which_learns() -> None:
    """dL/dx = R^T B^T d, and R <- (1 - decay) R + B^T u, where u is W's update without decay (Li and Benna 2024)."""
    decay, lr, expansion = 0.01, 0.1, 10
    model, net = attached("pfa", decay=decay, expansion=expansion)
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    generator = torch.Generator().manual_seed(net.generator("feedback").initial_seed())
    paths = []  # B (n_out, m) and R (m, n_in) of each layer
    for layer in linear:
        outputs, inputs = layer.weight.shape
        fixed = torch.randn(outputs, expansion * outputs, generator=generator).double() / (expansion * outputs) ** 0.5
        plastic = torch.randn(expansion * outputs, inputs, generator=generator).double()
        paths.append((fixed, plastic * layer.weight.detach().float().std(correction=0).double()))
    for _ in range(4):
        step(net)
        hs, e = activations(model)
        delta = e
        for index in (2, 1, 0):
            fixed, plastic = paths[index]
            torch.testing.assert_close(linear[index].weight.grad, delta.T @ hs[index], rtol=1e-5, atol=1e-7)
            middle = delta @ fixed  # the errors of the neurons between
            paths[index] = fixed, (1 - decay) * plastic - lr * middle.T @ hs[index]
            delta = (middle @ plastic) * (1 - hs[index] ** 2)
        torch.optim.SGD(model.parameters(), lr=lr, weight_decay=decay / lr).step()


def test_with_equal_decay_the_product_of_pfa_aligns_with_the_weight() -> None:
    def alignment(steps: int) -> list[float]:
        model, net = attached("pfa", decay=0.05)
        for _ in range(steps):
            step(net)
            torch.optim.SGD(model.parameters(), lr=0.5, weight_decay=0.1).step()
        net.model(X.double())
        cosine = torch.nn.functional.cosine_similarity
        pairs = [
            (layer.weight, layer.get_buffer("grape_bench_weight_feedback"))
            for layer in model
            if len([*layer.parameters()])
        ]
        return [cosine(w.flatten(), kept[: w.numel()], dim=0).item() for w, kept in pairs]

    assert max(map(abs, alignment(0))) < 0.5 and min(alignment(60)) > 0.85


def test_pfa_refuses_a_vocabulary() -> None:
    with pytest.raises(gb.DoesNotApplyError, match="n_out = 9000"):
        gb.attach(nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 9000)), "pfa", X)


def test_a_sampled_error_keeps_an_output_with_its_probability_and_divides_by_it() -> None:
    """e_k / q_k with probability q_k = min(1, s |e_k| / sum |e|), else 0; the rest is backpropagation."""
    model, net = attached("bp-sampled", samples=2)
    generator = torch.Generator().manual_seed(net.generator("perturbation").initial_seed())
    (_, h1, h2), e = activations(model)
    step(net)
    drawn = torch.rand(N, CLASSES, generator=generator, dtype=torch.float64)
    sampled = torch.zeros_like(e)
    for n in range(N):
        for k in range(CLASSES):
            q = min(1.0, (2 * e[n, k].abs() / e[n].abs().sum()).item())
            sampled[n, k] = e[n, k] / q if drawn[n, k] < q else 0
    assert 0 < (sampled == 0).sum() < N * CLASSES
    assert (sampled.gather(1, Y[:, None]) != 0).all(), "half of the error is the target's, so two samples keep it"
    torch.testing.assert_close(model[4].weight.grad, sampled.T @ h2)
    torch.testing.assert_close(model[2].weight.grad, weight_gradient(sampled @ model[4].weight.detach(), h2, h1))


def test_a_sketched_signal_is_projected_at_every_block() -> None:
    """g <- (C / r) Q Q^T g with Q of r orthonormal columns, at block 2 and then at block 1."""
    model, net = attached("bp-lowrank", share=0.5)
    generator = torch.Generator().manual_seed(net.generator("perturbation").initial_seed())
    (x, h1, h2), e = activations(model)
    step(net)

    def projected(signal: Tensor, rank: int) -> Tensor:
        units = signal.shape[1]
        a = torch.randn(units, rank, generator=generator, dtype=torch.float64)
        return units / rank * signal @ a @ torch.linalg.inv(a.T @ a) @ a.T  # Q Q^T projects on the columns of a

    g2 = projected(e @ model[4].weight.detach(), 3)
    torch.testing.assert_close(model[2].weight.grad, weight_gradient(g2, h2, h1))
    g1 = projected((g2 * (1 - h2**2)) @ model[2].weight.detach(), 4)
    torch.testing.assert_close(model[0].weight.grad, weight_gradient(g1, h1, x))


@pytest.mark.parametrize(("axes", "shape"), [(1, (1, 40)), (2, (1, 2, 16))])
def test_a_sketch_is_of_the_channels(axes: int, shape: tuple[int, ...]) -> None:
    net = gb.attach(convolutions(axes), gb.make_rule("bp-lowrank", share=0.25), torch.randn(4, *shape))
    block = net.blocks[0]
    signal = net.rule.sketched(block, torch.randn(64, *block.shape))
    assert torch.linalg.matrix_rank(signal.movedim(1, -1).reshape(-1, 16)) == 4


APPROXIMATE = {
    "bp-sampled": {"samples": 2},
    "bp-sampled uniform": {"samples": 2, "draw": "uniform"},
    "bp-lowrank": {},
    "fg-weights": {},
}


@pytest.mark.parametrize("case", APPROXIMATE)
def test_approximate_gradients_are_unbiased(case: str) -> None:
    """The mean of many steps on one batch is the exact gradient, to five standard errors."""
    model, net = attached(case.split()[0], **APPROXIMATE[case])
    found: list[list[Tensor]] = []
    for _ in range(400):
        step(net)
        found.append(gradients(model))
    for own, true in zip(zip(*found, strict=True), exact(), strict=True):
        mean, error = torch.stack(own).mean(0), torch.stack(own).std(0) / 20
        assert ((mean - true).abs() < 5 * error + 1e-12).all()
    hidden = torch.stack([one[0] for one in found])
    assert hidden.std(0).min() > 0


def test_sampled_errors_have_the_true_mean_in_half_precision_too() -> None:
    """Of 5,000 outputs, each is kept with a probability of about 1/5000. Half precision draws no such numbers."""
    errors = torch.randn(1, 5000, generator=torch.Generator().manual_seed(0)).softmax(-1).bfloat16().expand(2000, -1)
    rule, generator = gb.make_rule("bp-sampled", samples=4), torch.Generator().manual_seed(0)
    drawn = rule.sampled(errors, generator)
    assert drawn.dtype == torch.bfloat16
    assert drawn.float().sum() / errors.float().sum() == pytest.approx(1, abs=0.05)
    assert (drawn != 0).sum() / 2000 == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize(
    ("rule", "settings"), [("bp-sampled", {"samples": 4, "draw": "uniform"}), ("bp-lowrank", {"share": 1.0})]
)
def test_at_full_size_an_approximate_backward_is_backpropagation(rule: str, settings: dict[str, Any]) -> None:
    model, net = attached(rule, **settings)
    step(net)
    torch.testing.assert_close(gradients(model), exact())


def test_one_output_cannot_be_sampled() -> None:
    with pytest.raises(gb.DoesNotApplyError, match="one output"):
        gb.attach(nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 1)), "bp-sampled", X)


def test_fg_weights_takes_one_derivative_along_random_weights() -> None:
    """(dL . v) v for all weights below the head, dL . v by backpropagation here (Baydin et al. 2022)."""
    model, net = attached("fg-weights")
    generator = torch.Generator().manual_seed(net.generator("perturbation").initial_seed())
    step(net)
    true = exact()
    v = [torch.randn(one.shape, generator=generator, dtype=torch.float64) for one in true[:4]]
    slope = sum((one * direction).sum() for one, direction in zip(true, v, strict=False))
    torch.testing.assert_close(gradients(model), [slope * direction for direction in v] + true[4:])
    assert all(type(parameter) is nn.Parameter for parameter in model.parameters())


class Last(nn.Module):
    """An LSTM, of which a layer reads the last output."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.middle, self.head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(torch.tanh(self.middle(self.lstm(x)[0][:, -1])))
        return found


def test_fg_weights_moves_the_weights_of_recurrent_layers() -> None:
    torch.manual_seed(0)
    x, y, model = torch.randn(5, 6, 3), torch.arange(5) % 2, Last()
    net = gb.attach(model, "fg-weights", x)
    generator = torch.Generator().manual_seed(net.generator("perturbation").initial_seed())
    net.step(x, lambda output: F.cross_entropy(output, y))
    net.detach()
    weights = [*model.lstm.parameters(), *model.middle.parameters()]
    v = [torch.randn(one.shape, generator=generator) for one in weights]
    true = torch.autograd.grad(F.cross_entropy(model(x), y), weights)
    slope = sum((one * direction).sum() for one, direction in zip(true, v, strict=True))
    torch.testing.assert_close([one.grad for one in weights], [slope * direction for direction in v])


def test_fg_local_takes_one_derivative_of_the_block_s_own_loss() -> None:
    """(dL_l . p) p, and the classifier gets its exact gradient (Ren et al. 2023)."""
    torch.manual_seed(0)
    model = tanh_mlp()
    net = gb.attach(model, "fg-local", X)
    block = net.blocks[1]
    p = torch.randn(N, 5, generator=torch.Generator().manual_seed(net.generator("perturbation").initial_seed()))
    net.step(X, lambda output: F.cross_entropy(output, Y), Y)
    w1, b1, w2, b2, *_ = (one.detach() for one in model.parameters())
    h1 = torch.tanh(X @ w1.T + b1)
    h = torch.tanh(h1 @ w2.T + b2).requires_grad_()
    classifier = block.owned("classifier")
    loss = F.cross_entropy(h @ classifier.weight.T + classifier.bias, Y)
    dh, dm = torch.autograd.grad(loss, [h, classifier.weight])
    signal = torch.stack([(dh[n] * p[n]).sum() * p[n] for n in range(N)])
    torch.testing.assert_close(model[2].weight.grad, weight_gradient(signal, h.detach(), h1), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(classifier.weight.grad, dm)


def test_fg_is_grape_s_tangent_without_a_matrix() -> None:
    """GrAPE's refresh estimates J_l by d p_l^T. `fg` sends (d p_l^T)^T e = (e . d) p_l itself, sample by sample."""
    model, net = attached("fg")
    generator = torch.Generator().manual_seed(net.generator("perturbation").initial_seed())
    step(net)
    (x, h1, h2), e = activations(model)
    p1, p2 = (torch.randn(N, units, generator=generator, dtype=torch.float64) for units in (7, 5))
    w2, w3 = model[2].weight.detach(), model[4].weight.detach()
    d = ((1 - h2**2) * (p1 @ w2.T) + p2) @ w3.T
    for layer, p, h, below in ((model[0], p1, h1, x), (model[2], p2, h2, h1)):
        signal = torch.stack([torch.outer(d[n], p[n]).T @ e[n] for n in range(N)])
        torch.testing.assert_close(layer.weight.grad, weight_gradient(signal, h, below))


def test_a_finish_is_backpropagation_in_the_last_steps() -> None:
    model, net = attached("dfa+finish", finish_share=0.4)
    twin, other = attached("dfa")
    net.planned_steps = 5
    kinds = []
    for _ in range(5):
        step(net)
        step(other)
        is_bp, is_dfa = (
            all(torch.allclose(own, one) for own, one in zip(gradients(model), true, strict=True))
            for true in (exact(), gradients(twin))
        )
        kinds.append("bp" if is_bp else "dfa" if is_dfa else "neither")
    assert kinds == ["dfa"] * 3 + ["bp"] * 2
    assert net.bp_fraction == net.rule.bp_fraction(5, 1) == 0.4


def test_a_loop_of_your_own_says_when_the_finish_begins() -> None:
    model, net = attached("dfa+finish")
    with pytest.raises(UserError, match="has to know how long the training is"):
        model(X.double())
    _, net = attached("dfa+finish", finish_after=3)
    for _ in range(4):
        step(net)
    assert net.bp_fraction == net.rule.bp_fraction(2, 2) == 0.25 and net.rule.bp_fraction(3, 1) == 0


def test_a_finish_goes_around_anchors_and_counts_both() -> None:
    """Ten epochs of ten steps: nine anchors in ninety steps, then ten steps of BP."""
    rule = gb.make_rule("dfa+anchor+finish", batches=1, finish_share=0.1)
    assert (type(rule).__name__, type(rule.rule).__name__) == ("Finished", "Anchored")
    assert rule.bp_fraction(10, 10) == rule.exact_share(10, 10) == pytest.approx(0.19)
    with pytest.raises(UserError, match="unknown setting 'finish_shar'"):
        gb.make_rule("dfa+finish", finish_shar=0.5)
    with pytest.raises(UserError, match="frozen takes no training steps"):
        gb.make_rule("frozen+finish")


def test_the_harness_tells_the_finish_when_to_begin_and_the_record_has_its_share() -> None:
    spec = job("dfa+finish", dataset_args={"limit": 400}, model_args={"hidden": [8, 8]}, batch_size=32, epochs=4)
    credit = training.run(spec, lambda row: None)["credit"]
    finish = round(0.1 * credit["steps"])
    assert credit["bp_fraction"] == pytest.approx(finish / credit["steps"]) == credit["declared_bp_fraction"]
    assert credit["anchor_share"] == pytest.approx(finish / credit["steps"])


DIGITS: dict[str, Any] = dict(
    model_args={"hidden": [32, 32]}, epochs=4, optimizer={"name": "adamw", "lr": 1e-2}, profile=False
)
LEARNERS = ["ebd", "mono-forward", "pfa", "bp-sampled", "bp-lowrank", "fg-weights", "fg-local", "dfa+finish"]


def test_the_rules_learn_digits_better_than_the_control() -> None:
    scores = {
        rule: training.run(job(rule, **DIGITS), lambda row: None)["result"]["test"] for rule in ["head-only", *LEARNERS]
    }
    control = scores.pop("head-only")
    assert {rule: score for rule, score in scores.items() if score < control + 5} == {}, control
