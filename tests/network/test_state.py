"""A network's state: another attachment resumes from it bit for bit, in the middle of anything."""

import io

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from grape_bench.models.cnn import CNN

EXAMPLE = torch.randn(4, 3, 8, 8)


def attached(rule: str, seed: int) -> gb.Network:
    torch.manual_seed(seed)
    model = CNN((3, 8, 8), 5, channels=(6, 6, 6))
    return gb.attach(model, rule, EXAMPLE, seed=seed)


def train(net: gb.Network, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        loss = F.cross_entropy(net.model(torch.randn(8, 3, 8, 8, generator=generator)), torch.arange(8) % 5)
        net.model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in filter(lambda p: p.grad is not None, net.model.parameters()):
                parameter.sub_(0.1 * parameter.grad)


def through_a_file(state: dict[str, object]) -> dict[str, object]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("rule", ["bp", "fa", "dfa", "grape", "grape+anchor", "head-only"])
def test_another_attachment_goes_on_in_mid_epoch(rule):
    net, other = attached(rule, 0), attached(rule, 1)
    net.begin_epoch(7)
    train(net, range(3))
    other.load_state_dict(through_a_file(net.state_dict()))
    for continued in (net, other):
        train(continued, range(3, 7))
        continued.begin_epoch(7)
        train(continued, range(7))
    assert all(map(torch.equal, net.model.state_dict().values(), other.model.state_dict().values()))
    assert net.bp_fraction == other.bp_fraction and net.counts.backward == other.counts.backward == 14


def test_what_a_rule_keeps_in_plain_attributes_is_its_state_and_nothing_else():
    class Mine(gb.DirectFeedback):
        def __init__(self, strength: float = 1.0) -> None:
            self.strength = strength
            self._seen = {"hidden": [1, (2.0, None)]}
            self._module = nn.Linear(1, 1)
            self._mixed = [1, torch.zeros(1)]

    rule = Mine(strength=0.5)
    state = rule.state()
    assert state == {"strength": 0.5, "_seen": {"hidden": [1, (2.0, None)]}}
    rule._seen["hidden"].append(3)
    assert state["_seen"] == {"hidden": [1, (2.0, None)]}, "a copy"


def test_a_tensor_that_a_rule_stores_late_and_a_buffer_outside_of_state_dict_come_along():
    class Late(gb.DirectFeedback):
        def open_pass(self, network, batch):
            network.blocks[0].store("late", torch.full((2,), 7.0))
            return super().open_pass(network, batch)

    def net():
        model = CNN((3, 8, 8), 5, channels=(6, 6))
        model.register_buffer("hidden", torch.zeros(1), persistent=False)
        return gb.attach(model, Late(), EXAMPLE)

    trained, loaded = net(), net()
    trained.model.hidden.fill_(3)
    train(trained, range(1))
    loaded.load_state_dict(through_a_file(trained.state_dict()))
    assert loaded.blocks[0].load("late").tolist() == [7, 7] and loaded.model.hidden.item() == 3


def test_the_state_of_another_model_is_refused():
    net = attached("dfa", 0)
    other = gb.attach(CNN((3, 8, 8), 5, channels=(6, 6)), "dfa", EXAMPLE)
    with pytest.raises(KeyError):
        other.load_state_dict(net.state_dict())
    with pytest.raises(KeyError):
        net.load_state_dict(other.state_dict())
