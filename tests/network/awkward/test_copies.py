"""A copied, pickled or restored model keeps a rule of its own, or none."""

import copy
import io

import pytest
import torch

import grape_bench as gb
from grape_bench import UserError
from grape_bench.attachment import attached
from tests.network.awkward.comparison import RULES, X, assert_same, attach, expected_of, gradients, vit
from tests.network.problems import BY_NAME, loss_of, tanh_mlp


@pytest.mark.parametrize("rule", RULES)
def test_a_deep_copy_has_a_rule_of_its_own(rule):
    model = vit()
    net = attach(model, rule)
    twin = copy.deepcopy(model)
    assert_same(gradients(twin), expected_of(rule))
    assert all(p.grad is None for p in model.parameters()) and net.counts.backward == 0
    assert attached(twin).report() == net.report()
    attached(twin).detach()
    assert attached(model) is net and list(twin.state_dict()) == list(vit().state_dict())
    assert_same(gradients(model), expected_of(rule))


@pytest.mark.parametrize("rule", RULES)
def test_an_attached_model_is_pickled_with_its_rule(rule):
    model = vit()
    attach(model, rule)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert_same(gradients(torch.load(file, weights_only=False)), expected_of(rule))


def test_a_shallow_copy_is_refused_since_its_hooks_are_the_models():
    model = vit()
    attach(model, "dfa")
    with pytest.raises(UserError, match="shallow copy or a replica"):
        copy.copy(model)(X)


@pytest.mark.parametrize("rule", ["fa", "dfa", "grape"])
@pytest.mark.parametrize("assign", [False, True])
def test_trained_weights_and_feedback_go_through_a_state_dict(rule, assign):
    """The model that loads them goes on as the one that saved them, though it drew other feedback."""
    x, model, other = torch.randn(8, 6), tanh_mlp(), tanh_mlp()
    net = attach(model, rule, x)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(model(x)).backward()
        optimizer.step()
    nets = net, gb.attach(other, rule, x, seed=2)
    assert any(not torch.equal(other.state_dict()[name], value) for name, value in model.state_dict().items())
    other.load_state_dict(copy.deepcopy(model.state_dict()), assign=assign)
    for one in nets:
        one.advances = False  # GrAPE keeps its feedback
    assert_same(gradients(other, x), gradients(model, x))


@pytest.mark.parametrize("rule", RULES)
def test_transformers_saves_a_model_with_tied_weights_and_a_rule(rule, tmp_path):
    """It refuses tensors that share memory, unless it tied them itself."""
    problem = BY_NAME["gpt2"]
    model = problem.model()
    gb.attach(model, rule, problem.batch())
    model.save_pretrained(tmp_path)
    assert type(model).from_pretrained(tmp_path).lm_head.weight.equal(model.lm_head.weight)
