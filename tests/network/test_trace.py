"""Which outputs of a model a rule reads."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

import grape_bench as gb
from grape_bench import UserError
from grape_bench.network.trace import scored_outputs
from tests.network.problems import loss_of

A, B = torch.zeros(2, 3), torch.ones(2, 1)


@dataclass
class Both:
    """Two outputs by name."""

    scores: Tensor
    value: Tensor


def test_all_outputs_are_scored_once_and_logits_alone():
    assert scored_outputs((A, [B, A], torch.tensor([1]))) == [A, B]
    assert scored_outputs({"hidden": B, "logits": A}) == [A]


@pytest.mark.parametrize(
    ("output", "choose"),
    [((A, B), 1), ((A, [B]), 1), ((A, B), -1), ({"a": A, "b": B}, "b"), (Both(A, B), "value")],
)
def test_an_output_is_chosen_by_index_key_or_attribute(output, choose):
    (found,) = scored_outputs(output, choose)
    assert found is B


@pytest.mark.parametrize(
    ("output", "choose", "allowed"),
    [
        ((A, B), 2, "an index below 2"),
        ({"a": A, "b": B}, "c", "a, b"),
        (Both(A, B), "policy", "an index below"),
        ({"a": A, "note": None}, "note", "a, note"),
    ],
)
def test_an_unknown_output_is_refused_with_those_that_exist(output, choose, allowed):
    with pytest.raises(UserError, match=f"no output {choose!r}") as refused:
        scored_outputs(output, choose)
    assert allowed in refused.value.allowed


class TwoHeads(nn.Module):
    """A policy and a value, as a tuple, a dict or an object."""

    def __init__(self, form):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh())
        self.policy, self.value, self.form = nn.Linear(8, 3), nn.Linear(8, 1), form

    def forward(self, x):
        hidden = self.body(x)
        return self.form(self.policy(hidden), self.value(hidden))


@pytest.mark.parametrize(
    ("form", "choose"),
    [
        (lambda policy, value: (policy, value), 0),
        (lambda policy, value: {"policy": policy, "value": value}, "policy"),
        (lambda policy, value: {"value": value, "policy": policy}, 1),
    ],
)
def test_the_rule_reads_the_error_of_the_chosen_output(form, choose):
    torch.manual_seed(0)
    model, x = TwoHeads(form), torch.randn(4, 6)
    alone = nn.Sequential(model.body, model.policy)
    net = gb.attach(alone, "dfa", x, seed=1)
    loss_of(alone(x)).backward()
    expected = model.body[0].weight.grad.clone()
    net.detach()
    model.zero_grad()
    net = gb.attach(model, "dfa", x, seed=1, output=choose)
    assert net.output_shape == (3,)
    made = model(x)
    loss_of(made["policy"] if isinstance(made, dict) else made[0]).backward()
    torch.testing.assert_close(model.body[0].weight.grad, expected)


def test_a_constant_beside_the_outputs_is_handed_on():
    class WithMask(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.weight = nn.Sequential(nn.Linear(6, 8), nn.Tanh()), nn.Parameter(torch.randn(8, 3))

        def forward(self, x):
            return torch.ones(len(x), 2), self.body(x) @ self.weight

    model, x = WithMask(), torch.randn(4, 6)
    expected = model(x)
    net = gb.attach(model, "dfa", x)
    found = model(x)
    assert net.output_shape == (3,) and all(map(torch.equal, found, expected))
    loss_of(found[1]).backward()
    assert net.counts.backward == 1 and net.bp_fraction == 0


def test_an_output_inside_of_a_tuple_of_a_module_is_scored():
    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.out = nn.Sequential(nn.Linear(6, 8), nn.Tanh()), nn.Linear(8, 3)

        def forward(self, x):
            hidden = self.body(x)
            return 2 * self.out(hidden), hidden

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Inner()

        def forward(self, x):
            return self.inner(x)[0]

    model, x = Outer(), torch.randn(4, 6)
    net = gb.attach(model, "dfa", x)
    loss_of(model(x)).backward()
    assert net.output_shape == (3,) and net.bp_fraction == 0


def test_an_unknown_output_is_refused_by_attach():
    with pytest.raises(UserError, match="no output 'reward'"):
        gb.attach(TwoHeads(lambda policy, value: {"policy": policy}), "dfa", torch.randn(4, 6), output="reward")
