"""cos(B, J) against Jacobians that were computed in another way."""

import math

import pytest
import torch
from torch import nn
from torch.func import jacrev, vmap

import grape_bench as gb
from grape_bench.diagnose.feedback import FeedbackAlignment, _comparable
from grape_bench.diagnose.reading import Values
from grape_bench.diagnose.weights import WeightAlignment
from grape_bench.network.network import Network
from grape_bench.rules.feedback import FEEDBACK
from tests.diagnose.networks import Loop, attached, jacobians, linear_network, measured, measured_on, set_feedback


def cosine(a, b):
    return torch.cosine_similarity(a.flatten(), b.flatten(), dim=0).item()


def test_a_hand_set_b_has_the_cosine_that_it_was_given():
    model = linear_network(8, 12, 10, 5)
    net = attached(model)
    exact = jacobians(model)
    half = {}
    for name, J in exact.items():
        other = torch.randn_like(J)
        other -= (other * J).sum() / J.square().sum() * J
        half[name] = J + math.sqrt(3) * J.norm() * other / other.norm()
    set_feedback(net, half)
    for row in measured(net, FeedbackAlignment).values():
        assert row["feedback_cos"] == pytest.approx(0.5, abs=1e-5) and row["feedback_error"] == 0


def test_the_jacobian_is_the_mean_over_the_samples():
    model = nn.Sequential(nn.Sequential(nn.Linear(8, 12), nn.Tanh()), nn.Sequential(nn.Linear(12, 9), nn.Tanh()))
    model.append(nn.Linear(9, 5))
    net = attached(model)
    found = measured(net, FeedbackAlignment)
    x = torch.randn(16, 8, generator=torch.Generator().manual_seed(1))
    feedback = {block.name: block.load(FEEDBACK).clone() for block in net.blocks}
    net.detach()
    for index, name in enumerate(feedback):
        J = vmap(jacrev(model[index + 1 :]))(model[: index + 1](x)).mean(0)
        assert found[name]["feedback_cos"] == pytest.approx(cosine(feedback[name], J), abs=1e-5)


def test_channels_are_not_compared_as_if_they_were_times():
    """Eight channels and eight times, and an error per time."""
    blocks = (nn.Sequential(nn.Conv1d(8, 8, 1), nn.Tanh()) for _ in range(2))
    net = gb.attach(nn.Sequential(*blocks, nn.Conv1d(8, 5, 1)), "dfa", torch.randn(4, 8, 8), axis=1)
    assert net.blocks[0].shape == (8, 8) and not _comparable(net.blocks[0], torch.randn(4, 8, 5))


def test_many_outputs_are_estimated_with_an_honest_error():
    model = linear_network(8, 12, 200)
    net = attached(model)
    generator = torch.Generator().manual_seed(0)
    J = jacobians(model)["0"]
    noise = torch.randn(J.shape, generator=generator) * J.std()
    set_feedback(net, {"0": J + noise})
    (row,) = measured(net, FeedbackAlignment).values()
    exact = cosine(J + noise, J)
    assert 0 < row["feedback_error"] < 0.1
    assert abs(row["feedback_cos"] - exact) < 4 * row["feedback_error"]


def test_what_batchnorm_mixes_between_samples_is_not_part_of_the_jacobian():
    """Averaged over many signs, the estimate is the mean of the samples' own Jacobians."""
    model = nn.Sequential(nn.Linear(8, 12), nn.Sequential(nn.BatchNorm1d(12), nn.Tanh(), nn.Linear(12, 3)))
    x = torch.randn(16, 8, generator=torch.Generator().manual_seed(1))
    whole = torch.autograd.functional.jacobian(model[1], model[0](x).detach())
    own = torch.stack([whole[i, :, i] for i in range(16)]).mean(0)
    net = attached(model, blocks=["0"])
    set_feedback(net, {"0": own})
    (row,) = measured(net, FeedbackAlignment).values()
    assert row["feedback_error"] > 0
    assert abs(row["feedback_cos"] - 1) < 4 * row["feedback_error"] + 0.05


def on_a_loop(net: Network, x: torch.Tensor) -> Values:
    return measured_on([(x, lambda output: output.square().sum())], net, FeedbackAlignment)


def test_a_loop_with_an_output_per_step_is_compared_at_its_last_step():
    """There J is the head's weight."""
    model, x = Loop(3, 6, 4), torch.randn(16, 5, 3)
    net = gb.attach(model, "dfa", x)
    set_feedback(net, {"cell": model.head.weight})
    assert on_a_loop(net, x)["cell"] == {"feedback_cos": pytest.approx(1), "feedback_error": pytest.approx(0, abs=1e-6)}


def test_a_call_that_gets_the_errors_of_all_steps_has_no_jacobian_to_compare():
    x = torch.randn(16, 5, 3)
    assert on_a_loop(gb.attach(Loop(3, 6, 4), "dfa", x, cuts="time"), x) == {}


def test_fa_with_the_weights_themselves_has_cosine_one():
    net = attached(linear_network(8, 12, 10, 5), "fa")
    for module, name in net.weights:
        module.get_buffer(f"grape_bench_{name}_feedback").copy_(-module.get_parameter(name))
    assert all(row["weight_cos"] == pytest.approx(-1) for row in measured(net, WeightAlignment).values())


@pytest.mark.parametrize("rule", ["bp", "head-only", "fa"])
def test_a_rule_without_direct_feedback_has_none_to_compare(rule):
    assert measured(attached(linear_network(8, 12, 5), rule), FeedbackAlignment) == {}


def test_an_anchored_rule_is_compared_by_the_rule_inside():
    net = attached(linear_network(8, 12, 5), gb.Anchored(gb.make_rule("dfa")))
    assert "feedback_cos" in measured(net, FeedbackAlignment)["0"]
