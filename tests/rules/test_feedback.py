"""The signals of each kind of feedback: scale, statistics, and bit-identical after copying and loading."""

import copy
import math

import pytest
import torch

import grape_bench as gb
from grape_bench.attachment import attached
from grape_bench.rules.feedback import CHUNK, SEED, Seeded, random_signs
from tests.network.problems import loss_of, tanh_mlp

KINDS = ["dense", "per-channel", "slice", "low-rank", "seeded"]
X = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))


def net_of(kind, seed=0, rule="dfa"):
    torch.manual_seed(0)
    return gb.attach(tanh_mlp(), gb.make_rule(rule, feedback=kind), X, seed=seed)


def gradients(model):
    model.zero_grad()
    loss_of(model(X)).backward()
    return [p.grad.clone() for p in model.parameters()]


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_feedback_is_fixed_by_the_seed_and_by_the_state_alone(kind):
    """The same in each step, in a deep copy, under another seed once the state is loaded; other seeds differ."""
    net, other = net_of(kind), net_of(kind, seed=1)
    expected = gradients(net.model)
    assert equal(gradients(net.model), expected)
    assert equal(gradients(copy.deepcopy(net.model)), expected)
    assert not equal(gradients(other.model), expected)
    other.model.load_state_dict(net.model.state_dict())
    assert equal(gradients(other.model), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_has_feedback_of_its_own_and_detaching_leaves_none(kind):
    net = net_of(kind)
    twin = copy.deepcopy(net.model)
    for name, buffer in net.model.named_buffers():
        buffer.zero_()
        assert twin.get_buffer(name).any()
    attached(twin).detach()
    assert not list(twin.buffers())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_passes_on_the_norm_of_the_error(kind):
    """The mean of ||B^T e||^2 / ||e||^2 over draws of B is one."""
    ratios = []
    for seed in range(60):
        torch.manual_seed(0)
        net = gb.attach(tanh_mlp((6, 40, 30, 16)), gb.make_rule("dfa", feedback=kind), X, seed=seed)
        for block in net.blocks:
            error = torch.randn(50, 16, generator=torch.Generator().manual_seed(seed))
            signal = net.rule.project(error, block.at(torch.zeros(50, *block.shape)))
            ratios.append((signal.norm() / error.norm()) ** 2)
    assert torch.stack(ratios).mean().item() == pytest.approx(1, rel=0.05)


def test_seeded_feedback_is_drawn_in_chunks_which_fit_together():
    """A matrix of several chunks: entries of ±1/sqrt(n), uncorrelated rows, and the product is that of the whole."""
    net = gb.attach(tanh_mlp(), gb.make_rule("dfa", feedback="seeded"), X)
    matrix = Seeded(net.blocks[0], outputs=CHUNK // 100, features=250)
    chunks = dict(matrix.chunks(torch.zeros(0)))
    assert list(chunks) == [0, 100, 200]
    whole = torch.cat(list(chunks.values()), dim=1)
    assert torch.equal(whole.abs().unique(), torch.ones(1) / math.sqrt(250))
    assert abs(whole.mean().item()) < 5 / math.sqrt(250 * whole.numel())
    assert not torch.equal(whole[:, :100], whole[:, 100:200])
    rows = torch.randn(3, len(whole))
    torch.testing.assert_close(matrix.back(rows), rows @ whole, rtol=1e-4, atol=1e-4)


def test_the_bits_behind_a_seed_never_change():
    """Feedback regenerated on another machine or by a later version must be that of the checkpoint."""
    assert "".join("+" if sign > 0 else "-" for sign in random_signs((7, 0), 16)) == "++--++++-+-++++-"
    assert random_signs((7, 0), 100)[:16].tolist() == random_signs((7, 0), 16).tolist()


def test_a_seed_stays_whole_when_the_model_is_cast():
    net = net_of("seeded")
    net.model.half()
    assert net.blocks[0].load(SEED).dtype == torch.int64
