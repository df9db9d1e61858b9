"""Captured steps on a stand-in for CUDA graphs, which replays operations on recorded tensors without Python."""

import copy
import inspect
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import grape_bench as gb
from grape_bench.network.captured import WARM_UP, CapturedStep, _first_cause
from grape_bench.rules.anchored import Anchored
from grape_bench.rules.dfa import DFA
from tests.network.problems import tanh_mlp

PAGE = Path(__file__).parents[2] / "docs" / "speed.md"
EPOCH = 7
MODELS = {
    "mlp": lambda: tanh_mlp((6, 7, 5, 3)),
    "noisy": lambda: nn.Sequential(
        *(layer for _ in range(3) for layer in (nn.Linear(6, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3))),
        nn.Linear(6, 3),
    ),
}


def batches(count, samples=8):
    generator = torch.Generator().manual_seed(5)
    for _ in range(count):
        yield torch.randn(samples, 6, generator=generator), torch.randint(3, (samples,), generator=generator)


def prepared(rule, model="mlp", **settings):
    torch.manual_seed(0)
    net = gb.attach(MODELS[model]().train(), rule, torch.randn(8, 6))
    return net, torch.optim.SGD(net.model.parameters(), lr=0.1, momentum=0.9, **settings)


def ordinary(net, optimizer, inputs, targets):
    optimizer.zero_grad()
    loss = cross_entropy(net.model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.detach()


@pytest.mark.parametrize(
    ("model", "rule"),
    [("mlp", rule) for rule in ("bp", "dfa", "grape", "grape-lazy", "head-only", "dfa+anchor")]
    + [("noisy", rule) for rule in ("bp", "grape+anchor")],
)
def test_replays_train_as_ordinary_steps_do(rule, model, fake_cuda):
    """To the bit: losses, gradients, weights, statistics, optimizer state and counters, over anchors and refreshes."""
    losses, states = [], []
    for captures in (False, True):
        net, optimizer = prepared(rule, model)
        torch.manual_seed(1)
        step = CapturedStep(net, cross_entropy, optimizer) if captures else None
        losses.append([])
        for number, (inputs, targets) in enumerate(batches(6 * EPOCH)):
            if number % EPOCH == 0:
                net.begin_epoch(EPOCH)
            taken = step(inputs, targets) if step else ordinary(net, optimizer, inputs, targets)
            losses[-1].append(taken)
        tensors = {**net.model.state_dict(), **{f"{n}.grad": p.grad for n, p in net.model.named_parameters()}}
        momenta = [state["momentum_buffer"] for state in optimizer.state.values()]
        states.append((tensors, momenta, net.counts))
        if step:
            assert len(step._graphs) == (2 if "anchor" in rule else 1)

    assert torch.equal(torch.stack(losses[0]), torch.stack(losses[1]))
    (expected, momenta, *counts), (found, found_momenta, *found_counts) = states
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert (tensor is None and found[name] is None) or torch.equal(found[name], tensor), name
    assert all(torch.equal(a, b) for a, b in zip(momenta, found_momenta, strict=True))
    assert found_counts == counts


def test_python_runs_for_the_warm_up_and_the_capture_only(fake_cuda):
    net, optimizer = prepared("dfa")
    forwards = []
    net.model.register_forward_hook(lambda *_: forwards.append(1))
    step = CapturedStep(net, cross_entropy, optimizer)
    for inputs, targets in batches(10):
        step(inputs, targets)
    assert len(forwards) == WARM_UP + 1


def test_gradients_survive_a_zero_grad_between_steps(fake_cuda):
    net, optimizer = prepared("dfa")
    step = CapturedStep(net, cross_entropy, optimizer)
    for inputs, targets in batches(6):
        optimizer.zero_grad()
        step(inputs, targets)
    assert all(p.grad is not None and p.grad.any() for p in net.model.parameters())


def test_a_batch_of_another_shape_is_refused_before_anything_changes(fake_cuda):
    net, optimizer = prepared("dfa")
    step = CapturedStep(net, cross_entropy, optimizer)
    for inputs, targets in batches(5):
        step(inputs, targets)
    before = copy.deepcopy(net.model.state_dict())
    (short,) = batches(1, samples=3)
    with pytest.raises(gb.UserError, match="need the same shapes and types") as refused:
        step(*short)
    assert "drop_last=True" in str(refused.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.model.state_dict().items())


def test_a_changed_learning_rate_is_refused_not_ignored(fake_cuda):
    net, optimizer = prepared("dfa")
    step = CapturedStep(net, cross_entropy, optimizer)
    for inputs, targets in batches(5):
        step(inputs, targets)
    optimizer.param_groups[0]["lr"] = 0.01
    with pytest.raises(gb.UserError, match="settings have changed since the capture"):
        step(inputs, targets)


def test_a_learning_rate_on_the_device_may_change(fake_cuda):
    torch.manual_seed(0)
    net = gb.attach(MODELS["mlp"](), "dfa", torch.randn(8, 6))
    optimizer = torch.optim.SGD(net.model.parameters(), lr=torch.tensor(0.1), fused=True)
    step = CapturedStep(net, cross_entropy, optimizer)
    for inputs, targets in batches(5):
        step(inputs, targets)
    optimizer.param_groups[0]["lr"].fill_(0)
    before = net.model[0].weight.clone()
    step(inputs, targets)
    assert torch.equal(net.model[0].weight, before)


def test_a_step_that_waits_for_the_gpu_is_refused(fake_cuda):
    net, optimizer = prepared("dfa")

    def loss_of(output, targets):
        loss = cross_entropy(output, targets)
        return loss / max(1.0, loss.item())

    step = CapturedStep(net, loss_of, optimizer)
    with pytest.raises(gb.UserError, match="cannot be captured: operation not permitted") as refused:
        for inputs, targets in batches(5):
            step(inputs, targets)
    assert "parallel_backward" in str(refused.value)
    assert fake_cuda.now is fake_cuda.main


def test_the_message_names_the_first_error_of_a_broken_capture():
    try:
        try:
            raise RuntimeError("a wait for the GPU")
        except RuntimeError:
            raise RuntimeError("operation failed due to a previous error during capture")  # noqa: B904
    except RuntimeError as error:
        assert str(_first_cause(error)) == "a wait for the GPU"


def test_loading_the_optimizers_state_captures_anew(fake_cuda):
    net, optimizer = prepared("dfa")
    step = CapturedStep(net, cross_entropy, optimizer)
    for inputs, targets in batches(5):
        step(inputs, targets)
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    momentum = optimizer.state[net.model[0].weight]["momentum_buffer"]
    for _ in range(WARM_UP + 2):
        before = momentum.clone()
        step(inputs, targets)
        assert not torch.equal(momentum, before)  # the state in use is the one that the step moves


def test_random_streams_on_the_device_are_registered(fake_cuda):
    """A rule whose signal draws: CUDA has to know of the generator to give each replay other numbers."""

    class Noisy(gb.DirectFeedback):
        def setup(self, network):
            super().setup(network)
            self._generator = network.generator("perturbation", network.device)

        def signal(self, block, error):
            noise = torch.randn(error.shape, generator=self._generator, device=error.device)
            return self.project(error + noise, block)

    net, optimizer = prepared(Noisy())
    step = CapturedStep(net, cross_entropy, optimizer)
    for inputs, targets in batches(5):
        step(inputs, targets)
    (captured,) = step._graphs.values()
    assert captured.graph.generators == net.streams.on(net.device)
    assert net.rule._generator in captured.graph.generators


def test_passes_made_for_one_batch_are_refused(fake_cuda):
    class Fresh(gb.DirectFeedback):
        def open_pass(self, network, batch):
            scale = batch[0][0].mean()
            return type(super().open_pass(network, batch))(lambda block, error: scale * self.signal(block, error))

    for rule in ("fa", Fresh()):
        net, optimizer = prepared(rule)
        with pytest.raises(gb.UserError, match="holds data of one batch"):
            CapturedStep(net, cross_entropy, optimizer)(*next(batches(1)))


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("grape+refit", "its fit of the feedback holds data of one batch"),
        (DFA(feedback="seeded"), "its feedback is drawn on the CPU in every step"),
        (Anchored(DFA(feedback="seeded")), "its feedback is drawn on the CPU in every step"),
    ],
    ids=str,
)
def test_a_rule_that_cannot_be_captured_is_refused_before_the_first_step(rule, reason, fake_cuda):
    net, optimizer = prepared(rule)
    with pytest.raises(gb.UserError, match=f"cannot be captured: {reason}"):
        CapturedStep(net, cross_entropy, optimizer)


def test_an_optimizer_that_counts_on_the_cpu_is_refused(fake_cuda):
    net, _ = prepared("dfa")
    with pytest.raises(gb.UserError, match=r"Adam counts its steps on the CPU[\s\S]*capturable=True"):
        CapturedStep(net, cross_entropy, torch.optim.Adam(net.model.parameters()))


def test_autocast_around_the_step_is_refused(fake_cuda):
    net, optimizer = prepared("dfa")
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(gb.UserError, match="casts the weights once"):
        CapturedStep(net, cross_entropy, optimizer)(*next(batches(1)))


def test_capturing_needs_cuda():
    net, optimizer = prepared("dfa")
    with pytest.raises(gb.UserError, match="CapturedStep needs CUDA"):
        CapturedStep(net, cross_entropy, optimizer)


def test_the_code_in_the_docs_runs_as_printed(fake_cuda):
    (code,) = re.findall(r"## On a GPU.*?```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    net, optimizer = prepared("dfa")
    loader = list(batches(6))
    exec(code, {"net": net, "optimizer": optimizer, "loader": loader, "inputs": loader[0][0], "targets": loader[0][1]})
    assert net.counts.backward == 7
    assert net.bp_fraction == 0


def test_the_stand_in_takes_what_cuda_takes():
    """Names and arguments, which exist without a GPU too."""
    inspect.signature(torch.cuda.graph).bind("graph", pool=(0, 0), stream="stream", capture_error_mode="thread_local")
    for function in (torch.cuda.current_stream, torch.cuda.set_stream, torch.cuda.stream, torch.cuda.device):
        inspect.signature(function).bind("its one argument")
    assert {"register_generator_state", "replay"} <= set(dir(torch.cuda.CUDAGraph))
    assert {"wait_stream", "device"} <= set(dir(torch.cuda.Stream))
