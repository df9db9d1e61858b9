"""Things that would fail or be slow on a GPU: operations on two devices, and steps that wait for a number."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

import grape_bench as gb
from grape_bench.network.block import PREFIX
from grape_bench.network.lean import lean_step
from grape_bench.network.network import Network
from grape_bench.rules.dfa import DFA
from grape_bench.rules.grape import GrAPE
from tests.network.every_rule import CASES, EVERY_RULE, MODELS
from tests.network.problems import tanh_mlp
from tests.pretended import CPU, GPU, MixedDevicesError, PretendedGPU

STEPS = 3


@pytest.fixture
def gpu():
    with PretendedGPU() as bed:
        yield bed


class Training:
    """A model of some `kind` with a rule on a `device`, which learns fixed targets of one batch."""

    def __init__(self, device, rule, kind, seed=0):
        make, batch = MODELS[kind]
        torch.manual_seed(0)
        self.inputs = batch().to(device)
        torch.manual_seed(seed)
        self.model = make().train().to(device)
        self.net = gb.attach(self.model, copy.deepcopy(rule), self.inputs, seed=seed)
        self.net.begin_epoch(STEPS)
        self.optimizer = torch.optim.SGD(self.net.parameter_groups(), lr=0.1, momentum=0.9)
        self.targets = (torch.arange(len(self.inputs)) % 4).to(device)

    def step(self):
        self.optimizer.zero_grad()
        self.net.step(self.inputs, lambda output: cross_entropy(output, self.targets), self.targets)
        self.optimizer.step()

    @torch.no_grad()
    def evaluated(self):
        self.model.eval()
        logits = self.model(self.inputs)
        self.model.train()
        return logits

    def state(self):
        return {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state):
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])

    def tensors(self):
        parameters = {**dict(self.model.named_parameters()), **dict(self.net.owned.named_parameters())}
        gradients = {f"{name}.grad": p.grad for name, p in parameters.items() if p.grad is not None}
        return {**gradients, **parameters, **dict(self.model.named_buffers())}


def to_cpu(tree):
    return tree_map_only(torch.Tensor, lambda tensor: tensor.detach().cpu().clone(), tree)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_every_rule_trains_resumes_and_evaluates_on_a_gpu(name, kind, gpu, monkeypatch):
    """Without mixed devices and waits, to the CPU's weights. A checkpoint goes through the CPU."""
    rule = EVERY_RULE[name]
    trained = Training(GPU, rule, kind)
    for turn in range(STEPS):
        if turn == STEPS - 1:
            saved = to_cpu(trained.state())
        gpu.waits.clear()
        gpu.uploads.clear()
        trained.step()
        assert not gpu.waits
        assert name == "dfa-seeded" or not gpu.uploads  # it draws its matrices on the CPU, in every step

    resumed = Training(GPU, rule, kind, seed=1)
    resumed.load(saved)
    resumed.step()
    for training in (trained, resumed):
        assert {tensor.device for tensor in training.tensors().values()} == {GPU}
    end, logits = to_cpu(trained.tensors()), trained.evaluated().cpu()
    torch.testing.assert_close(to_cpu(resumed.tensors()), end, rtol=0, atol=0)
    torch.testing.assert_close(resumed.evaluated().cpu(), logits, rtol=0, atol=0)

    # Another name of the CPU, so that draws on the model's device have a generator of their own here too.
    monkeypatch.setattr(Network, "device", torch.device("cpu:0"))
    on_cpu = Training(CPU, rule, kind)
    for _ in range(STEPS):
        on_cpu.step()
    torch.testing.assert_close(on_cpu.tensors(), end, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(on_cpu.evaluated(), logits, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("rule", ["dfa", "grape"])
def test_a_lean_step_stays_on_the_gpu(rule, gpu):
    training = Training(GPU, rule, "cnn")
    gpu.waits.clear()
    lean_step(training.net, ((training.inputs,), {}), lambda y: cross_entropy(y, training.targets), training.optimizer)
    assert not gpu.waits


def test_a_copied_network_keeps_its_generators_on_the_gpu(gpu):
    """Diagnostics train a copy. Its next step is that of the original."""
    training = Training(GPU, "fg", "mlp")
    training.step()
    twin = copy.deepcopy(training.net)
    for model in (training.model, twin.model):
        model.zero_grad()
        cross_entropy(model(training.inputs), training.targets).backward()
    pairs = zip(training.model.parameters(), twin.model.parameters(), strict=True)
    assert all(torch.equal(a.grad.cpu(), b.grad.cpu()) for a, b in pairs)


# The mistakes that a rule may make. The test of every rule above would not pass with them.


@pytest.mark.parametrize("rule", ["dfa", "fa", "grape", "kp", "local"])
def test_feedback_left_on_the_cpu_is_found(rule, gpu):
    training = Training(GPU, rule, "mlp")
    for module in training.model.modules():
        module._buffers.update({name: buffer.cpu() for name, buffer in module._buffers.items() if PREFIX in name})
    with pytest.raises(MixedDevicesError):
        training.step()


@pytest.mark.parametrize("rule", ["fg", "grape", "wm", "brsf"])
def test_draws_from_the_generator_of_another_device_are_found(rule, gpu, monkeypatch):
    own = Network.generator
    monkeypatch.setattr(Network, "generator", lambda network, stream, device="cpu": own(network, stream))
    with pytest.raises(MixedDevicesError, match="generator"):
        Training(GPU, rule, "mlp").step()


class Noise(DFA):
    def signal(self, block, error):
        return torch.randn(block.output_shape)


def test_a_signal_of_the_cpu_is_found(gpu):
    with pytest.raises(MixedDevicesError):
        Training(GPU, Noise(), "mlp").step()


class Reading(DFA):
    def signal(self, block, error):
        return super().signal(block, error) if error.any() else torch.zeros_like(block.output)


def test_a_signal_that_reads_a_number_is_counted_at_its_line(gpu):
    training = Training(GPU, Reading(), "mlp")
    gpu.waits.clear()
    training.step()
    assert len(training.net.blocks) == gpu.waits.total() == 2
    assert all("if error.any()" in line for line in gpu.waits)


def test_a_seed_is_read_from_the_device_again_only_after_it_has_changed(gpu):
    """Another seed arrives by `load_state_dict`; the signals are then those of that seed."""
    model, batch = tanh_mlp(), torch.randn(8, 6, device=GPU)
    first, second = (
        gb.attach(copy.deepcopy(model).to(GPU), DFA(feedback="seeded"), batch, seed=seed) for seed in (0, 1)
    )
    block = first.blocks[0].name
    gpu.waits.clear()
    seeds = [net.rule._maps[block].matrix.seed for net in (first, second)]
    assert seeds[0] != seeds[1]
    assert not gpu.waits

    second.load_state_dict(first.state_dict())

    assert second.rule._maps[block].matrix.seed == seeds[0]
    gpu.waits.clear()
    assert second.rule._maps[block].matrix.seed == seeds[0]
    assert not gpu.waits


# Fakes have no numbers, as the turns of GrAPE's default estimator are.
FAKED = {name: name for name in ("bp", "fa", "kp", "usf", "dfa", "local", "head-only")}
FAKED["grape"] = GrAPE(refresh=1, estimator="joint")


@pytest.mark.parametrize("rule", FAKED.values(), ids=FAKED)
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


@pytest.mark.parametrize("rule", [GrAPE(refresh=1, estimator="joint"), "fg", "wm"], ids=["grape", "fg", "wm"])
def test_recurrent_layers_are_written_out_on_a_gpu_and_give_the_cpus_gradients(rule, gpu):
    gradients = []
    for device in (CPU, GPU):
        torch.manual_seed(0)
        model, x = Reader().train().to(device), torch.randn(4, 6, 5).to(device)
        gb.attach(model, copy.deepcopy(rule), x)
        model(x).square().sum().backward()
        gradients.append({name: p.grad.cpu() for name, p in model.named_parameters()})
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


def test_recurrent_layers_carry_tangents_without_cudnn_whose_switch_is_put_back():
    """cuDNN's recurrent layers have no forward derivative; PyTorch's own take over while a tangent passes."""
    model = Reader().train()
    gb.attach(model, GrAPE(refresh=1), torch.randn(4, 6, 5))
    with CuDNNSwitch() as switch:
        model(torch.randn(4, 6, 5))
    assert switch.seen
    assert not any(switch.seen)
    assert torch.backends.cudnn.enabled
