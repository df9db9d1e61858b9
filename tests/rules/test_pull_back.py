import pytest
import torch
import torch.nn.functional as F

import grape_bench as gb
from grape_bench import UserError
from grape_bench.rules.pull_back import through_layernorm
from tests.network.problems import BY_NAME, convolutions, loss_of


@pytest.mark.parametrize(
    ("shape", "axis"), [((5, 8), 1), ((5, 3, 8), 2), ((5, 8, 3), 1), ((5, 8, 4, 4), 1), ((5, 3, 3, 8), 3)]
)
def test_it_is_the_backward_of_a_layernorm_over_the_channels(shape, axis):
    output, signal = (3 * torch.randn(shape) + 1).requires_grad_(), torch.randn(shape)
    normalised = F.layer_norm(output.movedim(axis, -1), (8,)).movedim(-1, axis)
    (expected,) = torch.autograd.grad(normalised, output, signal)
    torch.testing.assert_close(through_layernorm(signal, output.detach(), axis), expected, rtol=1e-4, atol=1e-6)


def test_of_a_convolution_over_time_it_is_over_the_channels_at_each_time():
    net = gb.attach(convolutions(1), gb.make_rule("dfa", pull_back="layernorm"), torch.randn(4, 1, 40))
    signal = net.rule._sent(net.blocks[0].at(torch.randn(4, 16, 40)), torch.randn(4, 10))
    assert signal.sum(1).abs().max() < 1e-4 * signal.norm() < signal.sum(2).abs().max()


@pytest.mark.parametrize("rule", ["dfa", "grape", "drtp"])
def test_direct_rules_send_it_as_a_setting(rule):
    problem = BY_NAME["vit"]
    model, x = problem.model(), problem.batch()
    net = gb.attach(model, gb.make_rule(rule, pull_back="layernorm"), x)
    signals, outputs = [], []
    net.blocks[0].module.register_forward_hook(
        lambda m, a, y: (outputs.append(y), y.register_hook(signals.append), None)[2] if y.requires_grad else None,
        prepend=True,
    )
    loss_of(model(x)).backward()
    assert signals[0].any()
    assert signals[0].sum(-1).abs().max() < 1e-4 * signals[0].norm()
    assert (signals[0] * outputs[-1]).sum(-1).abs().max() < 1e-3 * signals[0].norm() * outputs[-1].norm()


def test_an_unknown_pull_back_is_refused():
    with pytest.raises(UserError, match="pull_back = 'batchnorm' is not one of none, layernorm"):
        gb.make_rule("dfa", pull_back="batchnorm")
