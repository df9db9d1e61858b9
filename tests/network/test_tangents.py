from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

import grape_bench as gb
from grape_bench.errors import UserError
from grape_bench.network.block import Site
from grape_bench.network.find import find_blocks
from grape_bench.network.network import Network
from grape_bench.network.passes import Pass
from grape_bench.network.preserve import preserved
from grape_bench.network.rule import LearningRule
from grape_bench.network.tangents import TangentPass
from grape_bench.network.trace import as_batch, scored_output, trace
from grape_bench.rules.grape import GrAPE
from tests.network.problems import BY_NAME, tanh_mlp

SMOOTH = ["mlp", "vit", "convnext", "mixer", "bert", "gpt2"]  # LLaMA rounds to float32 inside its norms


class Random(dict):
    """Directions by block name, drawn as a pass asks for them."""

    def __call__(self, block, output):
        return self.setdefault(block.name, torch.randn_like(output))


class Shift(Pass):
    """Adds a multiple of each direction to the block's output."""

    def __init__(self, directions, by):
        self.directions, self.by = directions, by

    def cut(self, block, output):
        return output + self.by * self.directions[block.name]

    def join(self, logits):
        self.logits = logits
        return logits


def network_of(problem, dtype=torch.float64):
    model = problem.model().eval().to(dtype)
    batch = problem.batch()
    batch = batch if isinstance(batch, dict) else batch.to(dtype)
    traced = trace(model, as_batch(batch))
    net = Network(model, LearningRule(), traced, find_blocks(model, traced))
    return net, as_batch(batch)


@pytest.mark.parametrize("name", SMOOTH)
def test_the_tangent_is_the_finite_difference_of_the_output(name):
    """d = sum_l J_l p_l for directions at every block at once, in float64 on smooth models."""
    net, batch = network_of(BY_NAME[name])
    directions = Random()
    dual = TangentPass(directions)
    net.run(dual, batch)
    with torch.no_grad():
        ahead, behind = Shift(directions, 1e-5), Shift(directions, -1e-5)
        net.run(ahead, batch)
        net.run(behind, batch)
    difference = (ahead.logits - behind.logits) / 2e-5
    torch.testing.assert_close(dual.tangent, difference, rtol=1e-4, atol=1e-6)


def test_the_tangent_pass_computes_the_plain_output_and_leaves_batchnorm_alone():
    problem = BY_NAME["resnet18"]
    net, batch = network_of(problem, torch.float32)
    net.model.train()
    with torch.no_grad(), preserved(net.model):
        expected = scored_output(net.model(*batch[0]))
    before = {name: value.clone() for name, value in net.model.named_buffers()}
    dual = TangentPass(lambda block, output: torch.randn_like(output))
    with preserved(net.model):
        net.run(dual, batch)
    torch.testing.assert_close(dual.logits, expected, rtol=1e-4, atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in net.model.named_buffers())


def test_a_block_without_a_direction_does_not_move_the_output():
    net, batch = network_of(BY_NAME["mlp"])
    dual = TangentPass(lambda block, output: None)
    net.run(dual, batch)
    assert not dual.tangent.any()


def test_tangents_of_a_linear_network_are_the_product_of_its_weights():
    model = torch.nn.Sequential(*[layer for layer in tanh_mlp((6, 7, 5, 4)) if isinstance(layer, torch.nn.Linear)])
    traced = trace(model, as_batch(torch.randn(3, 6)))
    net = Network(model, LearningRule(), traced, find_blocks(model, traced))
    dual = TangentPass(lambda block, output: torch.ones_like(output) if block.name == "0" else None)
    net.run(dual, as_batch(torch.randn(3, 6)))
    expected = model[2].weight @ model[1].weight @ torch.ones(7)
    torch.testing.assert_close(dual.tangent, expected.expand(3, 4))


class Square(torch.autograd.Function):
    """Without a `jvp`, as many custom functions are."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square().tanh()

    @staticmethod
    def backward(ctx, gradient):
        raise NotImplementedError


class Hidden(torch.autograd.Function):
    """Computes where autograd does not look, as a kernel of its own does, and mixes the units."""

    @staticmethod
    def forward(x):
        return torch.from_numpy(x.detach().numpy()[:, ::-1].copy())

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, gradient):
        return gradient.flip(1)


class Applied(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function.apply(x)


def tangent_through(function):
    layers = [torch.nn.Linear(6, 6), Applied(function), torch.nn.Linear(6, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3)]
    model, batch = torch.nn.Sequential(*layers).double(), as_batch(torch.randn(4, 6, dtype=torch.float64))
    traced = trace(model, batch)
    (found,) = find_blocks(model, traced, ["0"])
    before = replace(found, sites=(Site(found.module),))  # at its own output, before the function
    net = Network(model, LearningRule(), traced, [before])
    directions = Random()
    dual = TangentPass(directions)
    net.run(dual, batch)
    return net, batch, directions, dual.tangent


def test_a_custom_function_without_a_jvp_is_the_operations_of_its_forward():
    native = torch.autograd.Function.apply
    net, batch, directions, tangent = tangent_through(Square)
    with torch.no_grad():
        ahead, behind = Shift(directions, 1e-5), Shift(directions, -1e-5)
        net.run(ahead, batch)
        net.run(behind, batch)
    torch.testing.assert_close(tangent, (ahead.logits - behind.logits) / 2e-5, rtol=1e-4, atol=1e-6)
    assert torch.autograd.Function.apply == native


def test_a_custom_function_that_hides_its_operations_is_refused():
    with pytest.raises(UserError, match="without a forward-mode derivative: Hidden"):
        tangent_through(Hidden)


def test_tangent_passes_of_two_threads_take_turns():
    """PyTorch refuses a second forward-mode level while one is open."""
    nets = [gb.attach(tanh_mlp().train(), GrAPE(refresh=1), torch.randn(8, 6)) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        outputs = list(threads.map(lambda net: [net.model(torch.randn(8, 6)) for _ in range(20)], nets))
    assert all(output.isfinite().all() for own in outputs for output in own)
