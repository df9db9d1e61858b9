"""Parameters that a rule owns: in the optimizer, the report, the state and the record, and next to the model."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from tests.network.every_rule import EVERY_RULE, NOT_FOR_AN_MLP
from tests.network.problems import tanh_mlp

X, Y = torch.randn(12, 6, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 4


class Classifiers(gb.LocalLoss):
    """A trained linear classifier at each block, and a bias at the first block with a rate of its own."""

    def setup(self, network):
        for block in network.blocks:
            block.own(nn.Linear(block.size, 4, bias=False))
        network.blocks[0].own(nn.Linear(1, 4), "offset", lr=0.5)

    def loss(self, block, output, target):
        scores = block.owned()(output)
        if block.name == "1":
            scores = scores + block.owned("offset")(output.new_ones(1))
        return -(target * F.log_softmax(scores, -1)).sum()


def step(model):
    F.cross_entropy(model(X), Y).backward()


def attached():
    torch.manual_seed(0)
    model = tanh_mlp()
    return model, gb.attach(model, Classifiers(), X)


def test_the_model_itself_stays_as_it_was():
    model, net = attached()
    assert set(model.state_dict()) == set(tanh_mlp().state_dict())
    assert [name for name, _ in net.owned.named_parameters()] == [
        "1/own.weight",
        "3/own.weight",
        "1/offset.weight",
        "1/offset.bias",
    ]


def test_the_gradient_is_that_of_the_blocks_loss():
    """Cross-entropy of M h, a mean over samples: dM = (softmax(M h) - y)^T h / N."""
    model, net = attached()
    step(model)
    h = torch.tanh(model[2](torch.tanh(model[0](X)))).detach()
    matrix = dict(net.owned.named_parameters())["3/own.weight"]
    gap = (h @ matrix.T).softmax(1).detach() - F.one_hot(Y, 4)
    torch.testing.assert_close(matrix.grad, gap.T @ h / 12)


def test_the_optimizer_takes_them_with_their_own_settings():
    _, net = attached()
    optimizer = torch.optim.SGD(net.parameter_groups(), lr=0.1)
    assert [(len(group["params"]), group["lr"]) for group in optimizer.param_groups] == [(6, 0.1), (2, 0.1), (2, 0.5)]
    assert len(list(net.parameters())) == 10


def test_the_report_lists_them():
    _, net = attached()
    assert net.report()["1/own.weight"] == "owned" and net.report()["0.weight"] == "rule"


def test_the_state_holds_them():
    _, net = attached()
    saved = copy.deepcopy(net.state_dict())
    with torch.no_grad():
        for parameter in net.owned.parameters():
            parameter.zero_()
    net.load_state_dict(saved)
    assert all(parameter.any() for parameter in net.owned.parameters())


def test_a_copy_of_the_model_has_modules_of_its_own():
    model, net = attached()
    twin = copy.deepcopy(model)
    step(twin)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_they_start_equal_for_one_seed_and_leave_the_global_state_alone():
    def start(seed, global_seed):
        torch.manual_seed(1)
        model = tanh_mlp()
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        net = gb.attach(model, Classifiers(), X, seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        return torch.cat([p.flatten() for p in net.owned.parameters()])

    assert torch.equal(start(0, 5), start(0, 6)) and not torch.equal(start(0, 5), start(1, 5))


def test_they_follow_the_model_to_another_device():
    model, net = attached()
    model.to("meta")
    F.cross_entropy(model(X.to("meta")), Y.to("meta")).backward()
    assert {p.device.type for p in net.parameters()} == {"meta"}


def test_one_name_is_used_once_per_block():
    class Twice(gb.DirectFeedback):
        def setup(self, network):
            super().setup(network)
            for _ in range(2):
                network.blocks[0].own(nn.Linear(2, 2))

    with pytest.raises(ValueError, match="block '1' already owns a module named 'own'"):
        gb.attach(tanh_mlp(), Twice(), X)


def test_rules_without_them_give_the_optimizer_the_model_alone():
    model = tanh_mlp()
    assert gb.attach(model, "dfa", X).parameter_groups() == [{"params": list(model.parameters())}]


def test_data_parallel_models_are_refused(tmp_path):
    """DistributedDataParallel averages the gradients of the model's parameters alone."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        parallel = nn.parallel.DistributedDataParallel(tanh_mlp())
        with pytest.raises(gb.UserError, match="Classifiers owns parameters"):
            gb.attach(parallel, Classifiers(), X)
        gb.attach(parallel, "dfa", X)
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("rule", [name for name in EVERY_RULE if name not in NOT_FOR_AN_MLP])
def test_every_rule_trains_a_model_in_double_precision(rule):
    """The modules and matrices of a rule have the model's type."""
    torch.manual_seed(0)
    model = tanh_mlp().double()
    net = gb.attach(model, copy.deepcopy(EVERY_RULE[rule]), X.double())
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.SGD(net.parameter_groups(), lr=0.1)
    net.begin_epoch(2)
    net.step(X.double(), lambda output: F.cross_entropy(output, Y), Y)
    optimizer.step()
    assert {p.dtype for p in net.owned.parameters()} <= {torch.float64}
    assert not all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
