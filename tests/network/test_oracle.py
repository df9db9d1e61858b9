"""The test of the engine: with BP's own gradients injected at the cuts, every gradient is BP's."""

import pytest
import torch

import grape_bench as gb
from grape_bench.network.passes import CutPass, Pass
from grape_bench.network.preserve import preserved
from grape_bench.network.trace import as_batch
from tests.network.problems import PROBLEMS, Problem, loss_of


class KeepGradients(Pass):
    """Backpropagation that remembers dL/dh of every block."""

    def __init__(self):
        self.signals = {}

    def cut(self, block, output):
        seen = output.clone()  # as a block may use its output itself
        seen.register_hook(lambda signal: self.signals.__setitem__(block.name, signal))
        return seen


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_injected_true_gradients_give_the_gradients_of_backpropagation(problem: Problem):
    model, batch = problem.model().train(), as_batch(problem.batch())
    net = gb.attach(model, "dfa", batch[1] or batch[0])
    exact = KeepGradients()
    with preserved(model):  # the same dropout masks and statistics for both
        loss_of(net.run(exact, batch)).backward()
    expected = gradients(model)
    model.zero_grad()
    loss_of(net.run(CutPass(lambda block, error: exact.signals[block.name]), batch)).backward()
    found = gradients(model)

    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        error = (found[name] - gradient).norm() / gradient.norm().clamp(min=1e-7)
        assert error < 1e-5, name


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_a_wrong_signal_does_not_leak_past_the_cut(problem: Problem):
    """With zero signals nothing below the last cut gets any gradient: no path goes around it."""
    model, batch = problem.model().train(), as_batch(problem.batch())
    net = gb.attach(model, "dfa", batch[1] or batch[0])
    loss_of(net.run(CutPass(lambda block, error: torch.zeros_like(block.output)), batch)).backward()

    reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    tied = {
        name for name in reached if net.report()[name] == "rule" and model.get_parameter(name) is _head_weight(model)
    }
    side = {name for name in reached if "encoder.final_layer_norm" in name}  # after the encoder's last cut
    assert {name for name in reached if net.report()[name] == "rule"} - tied - side == set()


def _head_weight(model):
    head = getattr(model, "lm_head", None)
    return head.weight if head is not None else None
