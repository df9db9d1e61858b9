"""Each rule against its literal twin in `reference`, to 1e-6, in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import grape_bench as gb
from grape_bench import UserError
from grape_bench.contract.cases import CASES as CHECKED
from grape_bench.rules.feedback import FEEDBACK, SEED
from grape_bench.rules.grape import nlms_step
from grape_bench.rules.jacobian import JacobianEstimate
from grape_bench.rules.layout import SKETCH
from grape_bench.rules.names import LADDER
from tests.network.problems import tanh_mlp
from tests.rules import reference

SIZES = (5, 6, 4, 3)
CASES = {case.name: case for case in CHECKED}


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


def weights_feedback(model):
    """FA's buffers, one a linear layer."""
    return [module.get_buffer("grape_bench_weight_feedback") for module in model if isinstance(module, nn.Linear)]


def descend(model, x, labels, lr=0.1, decay=0.0):
    """One step of SGD; decay is the share of each weight that it loses."""
    model.zero_grad()
    F.cross_entropy(model(x), labels).backward()
    torch.optim.SGD(model.parameters(), lr=lr, weight_decay=decay / lr).step()
    model.zero_grad()


def test_usf_takes_the_signs_of_the_weights_as_they_are(problem):
    model, x, labels, layers = problem
    net = gb.attach(model, "usf", x)
    scales = [W.std(correction=0) for W, _ in layers]
    descend(model, x, labels, lr=1.0)
    feedback = [s.float().double() * W.sign() for s, (W, _) in zip(scales, layers, strict=True)]
    check(model, x, labels, layers, reference.fa_signal(feedback))
    assert [kept.numbers for kept in net.feedback().values()] == [1, 1, 1]


def test_frsf_keeps_its_magnitudes(problem):
    model, x, labels, layers = problem
    gb.attach(model, "frsf", x)
    magnitudes = [M.clone() for M in weights_feedback(model)]
    descend(model, x, labels, lr=1.0)
    feedback = [M.abs() * W.sign() for M, (W, _) in zip(magnitudes, layers, strict=True)]
    check(model, x, labels, layers, reference.fa_signal(feedback))


def test_brsf_draws_its_magnitudes_anew_in_each_step(problem):
    model, x, labels, layers = problem
    net = gb.attach(model, "brsf", x, seed=3)
    scales = [W.std(correction=0) for W, _ in layers]
    generator = torch.Generator().manual_seed(net.generator("feedback").initial_seed())
    for _ in range(2):
        drawn = [torch.randn(W.shape, generator=generator).double() for W, _ in layers]
        feedback = [s.float() * M.abs() * W.sign() for s, M, (W, _) in zip(scales, drawn, layers, strict=True)]
        model.zero_grad()
        check(model, x, labels, layers, reference.fa_signal(feedback))


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_kp_gives_the_feedback_the_updates_and_the_decay_of_the_weights(problem, decay):
    """With x the layers' inputs: W' = (1 - decay) W - lr delta x^T and B' = (1 - decay) B - lr delta x^T."""
    model, x, labels, layers = problem
    gb.attach(model, gb.make_rule("kp", decay=decay), x)
    feedback = [B[0].clone() for B in weights_feedback(model)]
    for _ in range(3):
        gradients = reference.gradients(layers, x, labels, reference.fa_signal(feedback))
        model(x)  # evaluations and accumulated batches are no updates
        descend(model, x, labels, lr=0.5, decay=decay)
        feedback = [(1 - decay) * B - 0.5 * dW for B, (dW, _) in zip(feedback, gradients, strict=True)]
    check(model, x, labels, layers, reference.fa_signal(feedback))


def test_wm_mirrors_the_weights_on_noise(problem):
    model, x, labels, layers = problem
    net = gb.attach(model, gb.make_rule("wm", rate=0.3), x, seed=3)
    feedback = [B.clone() for B in weights_feedback(model)]
    generator = torch.Generator().manual_seed(net.generator("perturbation").initial_seed())
    for l, (W, _) in enumerate(layers):
        noise = torch.randn(4, W.shape[1], generator=generator, dtype=torch.float64)
        feedback[l] = 0.7 * feedback[l] + 0.3 * sum(torch.outer(W @ n, n) for n in noise) / 4
    check(model, x, labels, layers, reference.fa_signal(feedback))


def test_wm_finds_the_weights_of_convolutions_and_of_attention():
    """At borders, strides, groups, transposed kernels, in the projections of one matrix, and if it is computed."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.maps = nn.ModuleList(
                [
                    nn.Conv2d(2, 4, 3, padding=1, stride=2),
                    weight_norm(nn.Conv2d(4, 4, 3, padding=1, groups=2)),
                    nn.ReLU(),
                ]
            )
            self.up = nn.ConvTranspose2d(4, 6, 2, stride=2)
            self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
            self.head = nn.Linear(6, 3)

        def forward(self, x):
            for module in self.maps:
                x = module(x)
            tokens = self.up(x).flatten(2).transpose(1, 2)
            return self.head(self.attention(tokens, tokens, tokens)[0].mean(1))

    model = Net()
    x = torch.randn(64, 2, 5, 5)
    gb.attach(model, gb.make_rule("wm", rate=0.02), x, blocks=["maps.1"])
    for _ in range(150):
        model(x)
    for module in model.modules():
        for name, B in module._buffers.items():
            name = name.removeprefix("grape_bench_").removesuffix("_feedback")
            W = module.weight if name == "derived0" else module.get_parameter(name)
            assert F.cosine_similarity(B.flatten(), W.flatten(), dim=0) > 0.95, module
            assert ((B * W).sum() / (W * W).sum()).item() == pytest.approx(1, abs=0.1), module


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


def test_drtp_sends_the_target_whatever_the_network_makes_of_the_sample(problem):
    model, x, labels, layers = problem
    feedback = direct_feedback(gb.attach(model, "drtp", x))

    def signal(l, error, delta):
        target = (error < 0).double()  # softmax - one-hot
        return -feedback[l].T @ target

    check(model, x, labels, layers, signal)


def test_local_errors_of_fixed_random_classifiers(problem):
    model, x, labels, layers = problem
    feedback = direct_feedback(gb.attach(model, "local", x))
    gradients = [(torch.zeros_like(W), torch.zeros_like(b)) for W, b in layers]
    for sample, label in zip(x, labels, strict=True):
        below = sample
        for l, h in enumerate(reference.forward(layers, sample)):
            B = feedback[l] if l < 2 else None
            if B is None:
                delta = reference.output_error(h.clone(), int(label))
            else:
                delta = B.T @ reference.output_error(B @ h, int(label)) * (1 - h**2)
            gradients[l][0].add_(torch.outer(delta, below) / len(x))
            gradients[l][1].add_(delta / len(x))
            below = h
    F.cross_entropy(model(x), labels).backward()
    for layer, (dW, db) in zip((model[0], model[2], model[4]), gradients, strict=True):
        torch.testing.assert_close(layer.weight.grad, dW, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(layer.bias.grad, db, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("perturbations", [1, 3])
def test_fg_goes_along_the_directions_of_its_forwards(problem, perturbations):
    model, x, labels, layers = problem
    net = gb.attach(model, gb.make_rule("fg", perturbations=perturbations), x, seed=3)
    generator = torch.Generator().manual_seed(net.generator("perturbation").initial_seed())
    draws = [
        [torch.randn(4, n, generator=generator, dtype=torch.float64) for n in SIZES[1:-1]] for _ in range(perturbations)
    ]
    hidden = [reference.forward(layers, sample) for sample in x]
    errors = [reference.output_error(h[-1].clone(), int(y)) for h, y in zip(hidden, labels, strict=True)]

    def signal(l, error, delta):
        n = next(n for n in range(4) if torch.equal(errors[n], error))
        total = torch.zeros(SIZES[l + 1], dtype=torch.float64)
        for p in draws:
            d = sum(reference.jacobian_vector(layers, hidden[n], k, p[k][n]) for k in range(2))
            total += (error @ d) * p[l][n] / perturbations
        return total

    check(model, x, labels, layers, signal)


def test_the_mean_forward_gradient_is_the_gradient(problem):
    model, x, labels, layers = problem
    gb.attach(model, gb.make_rule("fg", perturbations=4000), x)
    F.cross_entropy(model(x), labels).backward()
    expected = reference.gradients(layers, x, labels, reference.bp_signal(layers))[0][0]
    assert (model[0].weight.grad - expected).norm() / expected.norm() < 0.1


def joint_estimates(net, layers, x):
    """J^_l of every block, with the directions that the rule will draw next."""
    generator = torch.Generator().manual_seed(net.generator("perturbation").initial_seed())
    directions = [torch.randn(4, n, generator=generator).double() for n in SIZES[1:-1]]
    hidden = [reference.forward(layers, sample) for sample in x]
    found = [torch.zeros(SIZES[-1], n, dtype=torch.float64) for n in SIZES[1:-1]]
    for n in range(len(x)):
        d = sum(reference.jacobian_vector(layers, hidden[n], k, directions[k][n]) for k in range(len(found)))
        for estimate, p in zip(found, directions, strict=True):
            estimate += torch.outer(d, p[n]) / len(x)
    return found


@pytest.mark.parametrize("normalize", ["output", "unit"])
@pytest.mark.parametrize("cosine", ["columns", "frobenius"])
def test_grape(problem, normalize, cosine):
    """Feedback and gradients after one refresh, the directions taken from the rule's own stream."""
    model, x, labels, layers = problem
    rule = gb.make_rule("grape", estimator="joint", feedback_lr=0.3, normalize=normalize, cosine=cosine)
    net = gb.attach(model, rule, x, seed=3)
    estimates = joint_estimates(net, layers, x)
    expected = [
        reference.grape_step(B, estimate, 0.3, normalize, cosine)
        for B, estimate in zip(direct_feedback(net), estimates, strict=True)
    ]

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


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_last_blocks(problem, count):
    """Two blocks: with one trained, the first layer has no gradient; with two or more, it is backpropagation."""
    model, x, labels, layers = problem
    net = gb.attach(model, gb.make_rule("last-1", blocks=count), x)
    F.cross_entropy(model(x), labels).backward()
    expected = reference.gradients(layers, x, labels, reference.bp_signal(layers))
    if count == 1:
        assert model[0].weight.grad is None and net.report()["0.weight"] == "frozen"
    for layer, (dW, _) in list(zip((model[0], model[2], model[4]), expected, strict=True))[-1 - count :]:
        torch.testing.assert_close(layer.weight.grad, dW, rtol=1e-6, atol=1e-9)
    assert net.bp_fraction == net.rule.bp_fraction(1, 1) == min(count, 2) / 2


def test_the_rungs_of_the_ladder_have_names():
    assert [gb.make_rule(f"last-{count}").blocks for count in LADDER] == list(LADDER)
    with pytest.raises(UserError, match="at least 1"):
        gb.make_rule("last-1", blocks=0)


def test_norms_only():
    """The stem, the learned positions, the norms and the head get BP's gradients; the blocks' matrices get none."""
    make, x = CASES["vit"].model, CASES["vit"].inputs(0)
    exact, model = make(), make()
    net = gb.attach(model, "norms-only", x)
    for one in (exact, model):
        F.cross_entropy(one(x), torch.arange(len(x)) % 5).backward()
    gradients = dict(exact.named_parameters())
    for name, parameter in model.named_parameters():
        trained = name.startswith(("patch_embed", "cls_token", "pos_embed", "norm", "head")) or ".norm" in name
        assert (parameter.grad is not None) is trained is (net.report()[name] == "exact"), name
        if trained:
            torch.testing.assert_close(parameter.grad, gradients[name].grad)
    assert all(parameter.requires_grad for parameter in model.parameters()) and net.bp_fraction == 1


def test_norms_only_needs_something_to_train(problem):
    with pytest.raises(gb.DoesNotApplyError, match="no embedding and no norm"):
        gb.attach(problem[0], "norms-only", problem[1])


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


@pytest.mark.parametrize("rate", [0.25, 1.0])
def test_the_average_moves_toward_the_estimate_and_is_the_estimate_at_rate_1(problem, rate):
    """B_l + r (J^_l - B_l), scale included. With r = 1 the signal is J^_l^T e, the forward gradient of the batch."""
    model, x, labels, layers = problem
    net = gb.attach(model, gb.make_rule("grape", update="average", estimator="joint", feedback_lr=rate), x, seed=3)
    estimates = joint_estimates(net, layers, x)
    expected = [B + rate * (found - B) for B, found in zip(direct_feedback(net), estimates, strict=True)]
    check(model, x, labels, layers, reference.dfa_signal(expected))


def test_the_alignment_that_grape_watches_is_close_to_the_true_one():
    """Of a linear network J_l is the product of the weights above. The estimate needs no backward pass."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 30), nn.Linear(30, 30), nn.Linear(30, 3))
    rule = gb.make_rule("grape")
    rule.watch_alignment()
    net = gb.attach(model, rule, torch.randn(64, 30))
    for _ in range(60):
        model(torch.randn(64, 30))
    true = [
        torch.cosine_similarity(block.load(FEEDBACK).flatten(), jacobian.detach().flatten(), 0)
        for block, jacobian in zip(net.blocks, (model[2].weight @ model[1].weight, model[2].weight), strict=True)
    ]
    assert rule.alignment == pytest.approx(float(torch.stack(true).mean()), abs=0.1)
    assert rule.alignment > 0.7


@pytest.mark.parametrize("settings", [{}, {"every_steps": 1}, {"batches": 3}])
def test_anchors_on_every_batch_are_refused_as_backpropagation(problem, settings):
    model, x, *_ = problem
    net = gb.attach(model, gb.make_rule("dfa+anchor", **settings), x)
    batches = settings.get("batches", 1)
    with pytest.raises(gb.UserError, match="is an anchor, so this would be backpropagation"):
        net.begin_epoch(batches=batches)
    net.detach()
    gb.attach(model, gb.make_rule("dfa+anchor", every_epochs=2), x).begin_epoch(batches=1)


def counted_anchors(net, model, x, labels, steps, batches):
    """Which steps pass all hidden blocks backward."""
    found, before = [], 0
    for step in range(steps):
        if step % batches == 0:
            net.begin_epoch(batches)
        F.cross_entropy(model(x), labels).backward()
        if net.counts.hidden > before:
            found.append(step)
        before = net.counts.hidden
    return found


def test_anchors_by_steps_run_through_the_epochs(problem):
    model, x, labels, _ = problem
    net = gb.attach(model, gb.Anchored(gb.make_rule("dfa"), every_steps=5), x)
    assert counted_anchors(net, model, x, labels, 20, batches=4) == [4, 9, 14, 19]
    assert net.rule.bp_fraction(4, 5) == 4 / 20


def test_adaptive_anchors_take_place_only_while_the_alignment_is_low(problem):
    model, x, labels, _ = problem
    for below, expected in ((-2.0, []), (2.0, [1, 3, 5, 7])):
        rule = gb.Anchored(gb.make_rule("grape"), every_steps=2, below=below)
        net = gb.attach(model, rule, x)
        assert counted_anchors(net, model, x, labels, 8, batches=4) == expected
        net.detach()
    with pytest.raises(UserError, match="below needs a rule that measures its alignment"):
        gb.make_rule("dfa+anchor", below=0.5)


def test_nlms():
    B, directions, effects = torch.randn(3, 6), torch.randn(8, 6), torch.randn(8, 3)
    expected = reference.nlms_step(B, directions, effects)
    torch.testing.assert_close(nlms_step(B, JacobianEstimate(directions, effects)), expected, rtol=1e-6, atol=1e-6)


def test_nlms_finds_the_jacobian_of_a_linear_network_scale_included():
    model = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4), nn.Linear(4, 3))
    net = gb.attach(model, gb.make_rule("grape", update="nlms", refresh=1), torch.randn(32, 6))
    for _ in range(60):
        model(torch.randn(32, 6))
    for block, jacobian in zip(net.blocks, (model[2].weight @ model[1].weight, model[2].weight), strict=True):
        torch.testing.assert_close(block.load(FEEDBACK), jacobian.detach(), rtol=1e-3, atol=1e-4)
