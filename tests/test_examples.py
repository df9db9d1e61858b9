"""The rules in examples/rules keep the contract, match their papers' formulas, learn, and resume."""

import os
import random

import pytest
import timm
import torch
import torch.nn.functional as F

import grape_bench as gb
from grape_bench.contract.cases import CASES
from grape_bench.contract.check import check_rule
from grape_bench.job import run as training
from grape_bench.plan.suite import Suite
from grape_bench.plan.tuning import trial_jobs
from grape_bench.train.checkpoint import Checkpoints
from grape_bench.train.checkpoint_files import CheckpointFolder, Period
from tests.examples import EXAMPLES
from tests.job.jobs import job
from tests.network.problems import tanh_mlp
from tests.train.test_checkpoint import run, without_times

X, Y = torch.randn(12, 6, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 4
N = len(X)

ELSEWHERE = {
    "hebbian-dfa": "B_l has a column per unit, and a sequence may have any number of them",
    "class-codes": "a block has one class per sample, and this network has one per position",
    "smoothed-dfa": "the input has to be a tensor of numbers, to which noise is added",
}
"""Why a rule does not apply to the decoder."""


@pytest.mark.parametrize("rule", EXAMPLES)
def test_examples_pass_every_check_on_an_mlp_and_a_cnn(rule):
    report = check_rule(lambda: gb.make_rule(EXAMPLES[rule]), CASES[:2])
    assert report.ok and len(report.ran) == 20, "\n".join(map(str, report.failed))


@pytest.mark.slow
@pytest.mark.parametrize("rule", EXAMPLES)
def test_examples_pass_every_check_on_transformers_where_they_apply(rule):
    report = check_rule(lambda: gb.make_rule(EXAMPLES[rule]), CASES[2:])
    assert report.ok, "\n".join(map(str, report.failed))
    reasons = {result.case: result.detail for result in report.results if not result.applies}
    assert reasons == ({"decoder": ELSEWHERE[rule]} if rule in ELSEWHERE else {})
    assert len(report.ran) == 10 * (2 - len(reasons))


def attached(rule, **settings):
    """A tanh network 6-7-5-4 with blocks "1" and "3" after one step, and its activations as constants."""
    torch.manual_seed(0)
    model = tanh_mlp()
    net = gb.attach(model, gb.make_rule(EXAMPLES[rule], **settings), X)
    net.step(X, lambda output: F.cross_entropy(output, Y), Y)
    w1, b1, w2, b2, w3, b3 = (p.detach() for p in model.parameters())
    h1 = torch.tanh(X @ w1.T + b1)
    h2 = torch.tanh(h1 @ w2.T + b2)
    e = ((h2 @ w3.T + b3).softmax(1) - F.one_hot(Y, 4)) / N
    return model, net, (h1, h2, e)


def weight_gradient(signal, output, below):
    """dW of h = tanh(W x) for dL/dh = signal."""
    return (signal * (1 - output**2)).T @ below


def test_sparse_fa_sends_the_error_back_through_few_entries():
    """dL/dh_1 = (B_2^T dL/dh_2)(1 - h_2^2), with B from B_3 for the head. A share of B is not zero; its size is W's."""
    model, net, (h1, h2, e) = attached("sparse-fa")
    b2, b3 = (model[index].get_buffer("grape_bench_weight_feedback") for index in (2, 4))
    s2 = e @ b3
    torch.testing.assert_close(model[2].weight.grad, weight_gradient(s2, h2, h1))
    torch.testing.assert_close(model[0].weight.grad, weight_gradient((s2 * (1 - h2**2)) @ b2, h1, X))
    drawn = net.rule.draw(torch.randn(100, 100), torch.Generator().manual_seed(0))
    assert (drawn != 0).float().mean() == pytest.approx(0.25, rel=0.1) and drawn.std() == pytest.approx(1, rel=0.1)


def test_sign_forward_gradients_have_the_true_gradient_as_their_mean():
    model, net, _ = attached("sign-forward-gradient")
    p = net.rule.direction(net.blocks[1], torch.zeros(5, 4), torch.Generator().manual_seed(0))
    assert p.abs().eq(1).all() and p.dtype == torch.float32 and 0 < p.eq(1).sum() < p.numel()
    net.rule.perturbations = 400
    model.zero_grad()
    net.step(X, lambda output: F.cross_entropy(output, Y))
    torch.manual_seed(0)
    bp = tanh_mlp()
    F.cross_entropy(bp(X), Y).backward()
    for index in (0, 2):
        own, true = model[index].weight.grad.flatten(), bp[index].weight.grad.flatten()
        assert torch.cosine_similarity(own, true, dim=0) > 0.9


def test_class_codes_turn_each_block_toward_the_code_of_the_class():
    """L_l = 1 - cos(h_l, c): dL/dh = (cos(h, c) h / |h| - c / |c|) / |h| N."""
    model, net, (h1, h2, _) = attached("class-codes")
    codes = net.blocks[1].load("codes")
    assert set(codes.unique().tolist()) == {0.0, 1.0}
    direction, size = F.normalize(h2), h2.norm(dim=1, keepdim=True)
    wanted = F.normalize(codes[Y])
    cosine = (direction * wanted).sum(1, keepdim=True)
    signal = (cosine * direction - wanted) / size / N
    torch.testing.assert_close(model[2].weight.grad, weight_gradient(signal, h2, h1))


def test_smoothed_dfa_averages_the_updates_of_two_forwards():
    """dW_l = (DFA's at x + DFA's at x + noise) / 2, with the error at x."""
    model, net, (h1, h2, e) = attached("smoothed-dfa", noise=0.5)
    net.streams.restore(0, {})
    noisy = X + 0.5 * torch.empty_like(X).normal_(generator=net.generator("perturbation"))
    with torch.no_grad():
        n1 = torch.tanh(model[0](noisy))
        n2 = torch.tanh(model[2](n1))
    signal = e @ net.blocks[1].load("feedback")
    expected = (weight_gradient(signal, h2, h1) + weight_gradient(signal, n2, n1)) / 2
    torch.testing.assert_close(model[2].weight.grad, expected)
    torch.testing.assert_close(model[4].weight.grad, e.T @ h2)


def test_gained_dfa_is_dfa_at_first_and_learns_the_size_of_its_signals():
    """d log g = log(g N |B^T e| / share |h|)."""
    model, net, (_, h2, e) = attached("gained-dfa", share=0.1, gain_lr=1.0)
    gain = net.blocks[1].owned("gain").log
    direct = e @ net.blocks[1].load("feedback")
    torch.testing.assert_close(gain.grad, (N * direct.norm() / (0.1 * h2.norm())).log())
    before = model[2].weight.grad.clone()
    with torch.no_grad():
        gain -= gain.grad
    model.zero_grad()
    gain.grad = None
    net.step(X, lambda output: F.cross_entropy(output, Y))
    torch.testing.assert_close(model[2].weight.grad, gain.exp().detach() * before)
    assert gain.grad.abs() < 1e-5


def test_hebbian_dfa_turns_its_feedback_toward_error_times_activity():
    """dL/dh_l = B_l^T e, then B_l += rate * -(e h_l^T) by rows of norm one, then rows of norm one."""
    model, net, (_, h2, e) = attached("hebbian-dfa", rate=0.3)
    block = net.blocks[1]
    torch.manual_seed(0)
    before = gb.attach(tanh_mlp(), gb.make_rule(EXAMPLES["hebbian-dfa"]), X).blocks[1].load("hebbian")
    torch.testing.assert_close(model[2].weight.grad, weight_gradient(e @ before, h2, torch.tanh(model[0](X))))
    moved = F.normalize(before + 0.3 * F.normalize(-e.T @ h2))
    torch.testing.assert_close(block.load("hebbian"), moved)


def test_the_rate_of_hebbian_dfa_falls_to_zero_over_the_planned_steps():
    _, net, _ = attached("hebbian-dfa", rate=0.3)
    net.planned_steps = 4
    rates = []
    for _ in range(4):
        net.step(X, lambda output: F.cross_entropy(output, Y))
        rates.append(net.rule._now)
    assert rates == pytest.approx([0.225, 0.15, 0.075, 0.0])


def test_bp_then_dfa_hands_over_after_its_epochs():
    torch.manual_seed(0)
    models = {rule: tanh_mlp() for rule in ("bp", "dfa", EXAMPLES["bp-then-dfa"])}
    for model in models.values():
        model.load_state_dict(models["bp"].state_dict())
    nets = {rule: gb.attach(model, rule, X) for rule, model in models.items()}
    for turn in ("bp", "dfa", "dfa"):
        for rule, net in nets.items():
            net.begin_epoch(1)
            models[rule].zero_grad()
            net.step(X, lambda output: F.cross_entropy(output, Y))
        for own, other in zip(models[EXAMPLES["bp-then-dfa"]].parameters(), models[turn].parameters(), strict=True):
            assert torch.equal(own.grad, other.grad)
    assert nets[EXAMPLES["bp-then-dfa"]].bp_fraction == pytest.approx(1 / 3)


def test_noisy_dfa_is_dfa_without_noise():
    """And the noise has the chosen size."""
    quiet, *_ = attached("noisy-dfa", noise=0.0)
    torch.manual_seed(0)
    plain = tanh_mlp()
    gb.attach(plain, "dfa", X).step(X, lambda output: F.cross_entropy(output, Y))
    torch.testing.assert_close(quiet[0].weight.grad, plain[0].weight.grad)
    _, net, _ = attached("noisy-dfa", noise=0.5)
    block, error = net.blocks[0].at(torch.zeros(4000, 7)), torch.randn(4000, 4)
    clean = net.rule.project(error, block)
    noise = net.rule.signal(block, error) - clean
    assert noise.std() / clean.square().mean().sqrt() == pytest.approx(0.5, rel=0.05)


TASK = {"name": "t", "model": "mlp", "dataset": "digits", "epochs": 1, "batch_size": 64}
ADAM = {"name": "adamw", "lr": 1e-3}
SUITE = {"name": "six", "version": "1.0", "rules": ["bp"], "seeds": 1, "task": [TASK | {"optimizer": ADAM}]}
DIGITS = dict(model_args={"hidden": [64, 64]}, epochs=6, optimizer={"name": "adamw", "lr": 3e-3}, profile=False)


def test_examples_learn_digits_better_than_the_control():
    scores = {
        name: training.run(job(rule, **DIGITS), lambda row: None)["result"]["test"]
        for name, rule in {"head-only": "head-only", **EXAMPLES}.items()
    }
    control = scores.pop("head-only")
    assert {name: score for name, score in scores.items() if score < control + 5} == {}, control


# One owns parameters, the other has a rule inside. tests/network/test_devices.py resumes every rule.
@pytest.mark.parametrize("rule", ["gained-dfa", pytest.param("bp-then-dfa", marks=pytest.mark.slow)])
def test_a_killed_job_ends_with_the_same_weights_and_record(rule, tmp_path, monkeypatch):
    small = {"dataset_args": {"limit": 400}, "model_args": {"hidden": [16, 16]}, "batch_size": 32}
    spec = job(EXAMPLES[rule], **small, epochs=3, features=None)
    expected, weights = run(spec, monkeypatch)
    place = CheckpointFolder(tmp_path, "stamp")
    for step in sorted(random.Random(os.getpid()).sample(range(1, 36), 2)):
        assert run(spec, monkeypatch, Checkpoints(place, Period(seconds=0)), step)[0] is None
    found, resumed = run(spec, monkeypatch, Checkpoints(place, Period(seconds=0)))
    assert found["time"]["resumed"] == 2
    assert bool(weights["owned"]) == (rule == "gained-dfa")
    for part in ("model", "owned"):
        torch.testing.assert_close(resumed[part], weights[part], rtol=0, atol=0)
    assert without_times(found) == without_times(expected)


def test_the_record_names_what_the_rule_owns_and_counts_its_passes():
    found = training.run(job("dtp", **(DIGITS | {"epochs": 1, "profile": True})), print)
    assert found["network"]["parameters"]["owned"] == 2
    assert found["network"]["owned"][0] == {"name": "hidden.0.1/inverse.1.weight", "numbers": 64 * 64}
    assert found["profile"]["holders"]["owned"] == 4 * (64 * 64 + 64)
    assert found["credit"]["forward_passes"] == 2 * found["credit"]["steps"]


OF_TWO_PHASES = {name: name for name in ("pepita", "dtp", "pc")}
LARGER = {"pepita": {"scale": 2.0}, "pc": {"rate": 0.5}}
"""Settings for larger signals: bf16 rounds small differences of activations away."""


@pytest.mark.parametrize("scale", [1.0, 65536.0])
@pytest.mark.parametrize("rule", [*EXAMPLES, *OF_TWO_PHASES])
def test_mixed_precision_keeps_the_direction_of_every_gradient(rule, scale):
    """A second phase runs under the forward's autocast. fp16 training scales the loss."""

    def gradients(dtype):
        torch.manual_seed(0)
        model = tanh_mlp((6, 32, 32, 4))
        net = gb.attach(model, gb.make_rule((EXAMPLES | OF_TWO_PHASES)[rule], **(LARGER.get(rule, {}))), X)
        net.loss_scale = scale if dtype else 1.0
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            loss = F.cross_entropy(model(X), Y)
        with net.informed(lambda output: F.cross_entropy(output, Y), Y):
            (net.loss_scale * loss).backward()
        return {"model": list(model.parameters()), "owned": list(net.owned.parameters())}, net.loss_scale

    (full, _), (half, factor) = gradients(None), gradients(torch.bfloat16)
    for one, other in zip(full["model"] + full["owned"], half["model"] + half["owned"], strict=True):
        cosine = torch.cosine_similarity(one.grad.flatten(), other.grad.flatten(), dim=0)
        assert cosine > 0.95
        assert other.grad.norm() / one.grad.norm() == pytest.approx(factor, rel=0.2)


@pytest.mark.parametrize("rule", [*EXAMPLES, *OF_TWO_PHASES])
def test_activation_checkpointing_changes_no_gradient(rule):
    def gradients(checkpointed):
        torch.manual_seed(0)
        sizes = dict(num_classes=5, img_size=16, patch_size=8, depth=3, embed_dim=24, num_heads=3, drop_rate=0.1)
        model = timm.create_model("vit_tiny_patch16_224", **sizes).train()
        model.set_grad_checkpointing(checkpointed)
        x, y = torch.randn(8, 3, 16, 16), torch.arange(8) % 5
        net = gb.attach(model, (EXAMPLES | OF_TWO_PHASES)[rule], x)
        net.step(x, lambda output: F.cross_entropy(output, y), y)
        return [parameter.grad for parameter in net.parameters()]

    torch.testing.assert_close(gradients(True), gradients(False), rtol=0, atol=0)


def test_tuning_reaches_the_settings_of_owned_parameters():
    net = gb.attach(tanh_mlp(), gb.make_rule("mono-forward", projection_lr=0.03), X)
    optimizer = torch.optim.AdamW(net.parameter_groups(), lr=1e-3)
    assert [group["lr"] for group in optimizer.param_groups] == [1e-3, 0.03]
    space = {"lr": {"log": [1e-4, 1e-1]}}
    own = {"mono-forward": {"projection_lr": {"log": [1e-4, 1e-1]}}}
    suite = Suite.model_validate(SUITE | {"tuning": {"trials": 2, "space": space, "rule": own}})
    trials = trial_jobs(suite, ["mono-forward"])
    assert len({job.rule_settings["projection_lr"] for job in trials}) == 2
