"""What would fail or be slow on a GPU: tensors of two devices in one operation, and steps that wait for a number."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import grape_bench as gb
from grape_bench.network.network import Network
from grape_bench.rules.dfa import DFA
from grape_bench.rules.grape import GrAPE
from tests.network.problems import BY_NAME, loss_of

RULES = {
    **{name: name for name in ("bp", "fa", "usf", "kp", "wm", "dfa", "head-only", "fg", "local")},
    "dfa-seeded": DFA(feedback="seeded"),
    "grape-joint": GrAPE(refresh=1, estimator="joint"),
    "grape-nlms": GrAPE(refresh=1, estimator="joint", update="nlms"),
}

aten = torch.ops.aten


class NoWaiting(TorchDispatchMode):
    """Refuses to hand a computed number to Python: `.item()`, `int(tensor)`, `torch.equal(a, b)`."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in (aten._local_scalar_dense.default, aten.equal.default):
            raise AssertionError("a step waits for the device")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_step_never_waits_for_a_number(rule):
    problem = BY_NAME["vit"]
    model, batch = problem.model().train(), problem.batch()
    gb.attach(model, rule, batch)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with NoWaiting():
        for _ in range(2):  # the second step sees weights that have changed
            loss_of(model(batch)).backward()
            optimizer.step()


@pytest.mark.parametrize("wait", [lambda x: x.sum().item(), lambda x: torch.equal(x, x), lambda x: int(x[0, 0])])
def test_the_mode_above_refuses_every_kind_of_wait(wait):
    with NoWaiting(), pytest.raises(AssertionError, match="waits for the device"):
        wait(torch.ones(2, 2))


def test_a_seed_is_read_from_the_device_again_only_after_it_has_changed():
    """Another seed arrives by `load_state_dict`; the signals are then those of that seed."""
    problem = BY_NAME["vit"]
    batch = problem.batch()
    first, second = (gb.attach(problem.model(), DFA(feedback="seeded"), batch, seed=seed) for seed in (0, 1))
    block = first.blocks[0].name
    seeds = [net.rule._maps[block].matrix.seed for net in (first, second)]
    assert seeds[0] != seeds[1]

    second.load_state_dict(first.state_dict())

    assert second.rule._maps[block].matrix.seed == seeds[0]
    with NoWaiting():
        assert second.rule._maps[block].matrix.seed == seeds[0]


# Fakes have no numbers, as fa's scales and the turns of GrAPE's default estimator are.
@pytest.mark.parametrize(
    "rule", ["bp", "dfa", "head-only", GrAPE(refresh=1, estimator="joint")], ids=lambda rule: str(rule)[:9]
)
def test_attaching_and_the_forward_stay_on_the_models_device(rule, monkeypatch):
    """Fake tensors: shapes and devices without a GPU; two devices in one operation raise an error."""

    def generator(network, stream, device="cpu"):
        return torch.default_generator if torch.device(device).type == "cpu" else None  # a GPU's needs one

    monkeypatch.setattr(Network, "generator", generator)
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: nullcontext())
    for comparison in ("_equal", "_same"):
        monkeypatch.setattr(f"grape_bench.network.preserve.{comparison}", lambda *_: True)
    with FakeTensorMode():
        with torch.device("cuda"):
            model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), *_mlp())
            inputs = torch.randn(8, 3, 6, 6)
        net = gb.attach(model.train(), rule, inputs)
        output = model(inputs)
        assert output.device.type == "cuda"
        assert {buffer.device.type for buffer in model.buffers()} == {"cuda"}
        if rule == "dfa":
            for block in net.blocks:
                hidden = torch.empty(8, *block.shape, device="cuda")
                assert net.rule.signal(block.at(hidden), output.detach()).device.type == "cuda"


def _mlp():
    return nn.Flatten(), nn.Linear(64, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 3)


class CuDNNSwitch(TorchDispatchMode):
    """Notes how it stands whenever a recurrent layer of PyTorch's own computes a gate."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "sigmoid" in str(func):
            self.seen.append(torch.backends.cudnn.enabled)
        return func(*args, **(kwargs or {}))


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.LSTM(5, 5, batch_first=True) for _ in range(2))
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        for layer in self.layers:
            x, _ = layer(x)
        return self.head(x[:, -1])


def test_recurrent_layers_carry_tangents_without_cudnn_whose_switch_is_put_back():
    """cuDNN's recurrent layers have no forward derivative; PyTorch's own take over while a tangent passes."""
    model = Reader().train()
    gb.attach(model, GrAPE(refresh=1), torch.randn(4, 6, 5))
    with CuDNNSwitch() as switch:
        model(torch.randn(4, 6, 5))
    assert switch.seen
    assert not any(switch.seen)
    assert torch.backends.cudnn.enabled
