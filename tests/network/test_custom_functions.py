"""Custom autograd functions: tangents follow the backward that BP uses. Every check is <u, J v> = <J^T u, v>."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.autograd import Function

import grape_bench as gb
from grape_bench.errors import UserError
from grape_bench.network.block import Site
from grape_bench.network.find import find_blocks
from grape_bench.network.network import Network
from grape_bench.network.rule import LearningRule
from grape_bench.network.tangents import TangentPass
from grape_bench.network.trace import as_batch, trace
from grape_bench.rules.make import make_rule

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(3))


class Spike(Function):
    """A step, with the derivative of a fast sigmoid."""

    @staticmethod
    def forward(ctx, x, slope):
        ctx.save_for_backward(x)
        ctx.slope = slope
        return (x > 0).float()

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient / (ctx.slope * x.abs() + 1) ** 2, None


class Rounded(Function):
    """Straight through. It has a `setup_context`, and its backward writes to its gradient."""

    @staticmethod
    def forward(x):
        return x.round()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx, gradient):
        gradient[ctx.saved_tensors[0].abs() > 1] = 0
        return gradient


class Reversed(Function):
    """Gradient reversal."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -0.5 * gradient


class Noisy(Function):
    """A backward that draws."""

    @staticmethod
    def forward(ctx, x):
        return (x > 0).float()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * torch.rand_like(gradient)


class Surrogate(Function):
    """A step whose backward the user passes as a function."""

    @staticmethod
    def forward(ctx, x, surrogate):
        ctx.save_for_backward(x)
        ctx.surrogate = surrogate
        return (x > 0).float()

    @staticmethod
    def backward(ctx, gradient):
        return ctx.surrogate(ctx.saved_tensors[0], gradient), None


class Threshold(Function):
    """Two moving inputs, the second of a smaller shape."""

    @staticmethod
    def forward(ctx, x, threshold):
        ctx.save_for_backward(x - threshold)
        ctx.shape = threshold.shape
        return (x > threshold).float()

    @staticmethod
    def backward(ctx, gradient):
        inner = gradient / (1 + ctx.saved_tensors[0].abs())
        return inner, -inner.sum_to_size(ctx.shape)


class Softmax(Function):
    """Not element-wise, and the backward is the derivative of the forward."""

    @staticmethod
    def forward(ctx, x):
        y = x.softmax(-1)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, gradient):
        (y,) = ctx.saved_tensors
        return y * (gradient - (gradient * y).sum(-1, keepdim=True))


class Untrue(Function):
    """Not element-wise, and the backward is not the derivative of the forward."""

    @staticmethod
    def forward(ctx, x):
        return x.flip(1).tanh()

    @staticmethod
    def backward(ctx, gradient):
        return gradient.flip(1)


@torch.library.custom_op("grape_bench_tests::spike", mutates_args=())
def spike(x: torch.Tensor) -> torch.Tensor:
    return (x > 0).float()


spike.register_autograd(
    lambda ctx, gradient: gradient / (1 + ctx.saved_tensors[0].abs()),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(inputs[0]),
)


class Middle(nn.Module):
    """Two linear layers, with `function` between them."""

    def __init__(self, function):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.function = nn.Linear(4, 5), nn.Linear(5, 3), function

    def forward(self, x):
        return self.last(self.function(self.first(x)))


def tangent_and_gradient(model, name="first"):
    """J v of a tangent pass from the block `name`, J^T u of autograd, and <u, J v>, <J^T u, v> of random u and v."""
    batch = as_batch(X)
    traced = trace(model, batch)
    (found,) = find_blocks(model, traced, [name])
    before = replace(found, sites=(Site(found.module),))  # at its own output, so that `function` is not part of it
    net = Network(model, LearningRule(), traced, [before])
    outputs = []

    def perturb(block, output):
        return torch.linspace(-1, 2, output.numel()).reshape(output.shape)

    dual = TangentPass(perturb)
    net.run(dual, batch)
    handle = model.get_submodule(name).register_forward_hook(lambda *args: outputs.append(args[-1]))
    net.detach()
    y = model(X)
    handle.remove()
    u = torch.linspace(1, -2, y.numel()).reshape(y.shape)
    (gradient,) = torch.autograd.grad(y, outputs[0], u)
    return (u * dual.tangent).sum(), (gradient * perturb(None, outputs[0])).sum()


STORED = Spike.apply
ELEMENTWISE = {
    "surrogate": lambda x: Spike.apply(x, 25.0),
    "straight-through": lambda x: Rounded.apply(x),
    "stored": Rounded.apply,
    "stored, with a saved input": lambda x: STORED(x, 5.0),
    "reversal": lambda x: Reversed.apply(x),
    "user's surrogate": lambda x: Surrogate.apply(x, lambda x, g: g * (1 - x.abs()).relu()),
    "two inputs": lambda x: Threshold.apply(x, x[:, :1].sin()),
    "custom operator": spike,
    "twice": lambda x: Spike.apply(Spike.apply(x, 1.0) - 0.5 + x, 2.0),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_an_element_wise_function_moves_as_its_backward_says(name):
    ahead, behind = tangent_and_gradient(Middle(ELEMENTWISE[name]))
    assert behind.abs() > 1e-3
    torch.testing.assert_close(ahead, behind)


def test_other_functions_run_as_the_operations_of_their_forward():
    ahead, behind = tangent_and_gradient(Middle(lambda x: Softmax.apply(x)))
    torch.testing.assert_close(ahead, behind)


def test_a_function_with_an_untrue_backward_is_refused_by_name():
    with pytest.raises(UserError, match="Untrue, whose backward is not the derivative of its forward"):
        tangent_and_gradient(Middle(lambda x: Untrue.apply(x)))


def test_a_stored_function_that_is_not_element_wise_is_refused_by_name():
    with pytest.raises(UserError, match=r"Softmax, whose `apply` the model stored"):
        tangent_and_gradient(Middle(Softmax.apply))


def test_a_backward_that_draws_is_element_wise_too():
    tangent, _ = tangent_and_gradient(Middle(lambda x: Noisy.apply(x)))
    assert tangent.abs() > 0


def test_the_probes_draw_nothing_from_the_models_random_stream():
    """The dropout mask after the function is that of a plain forward."""
    model = Middle(lambda x: nn.functional.dropout(Spike.apply(x, 5.0), 0.5))
    net = Network(model, LearningRule(), trace(model, as_batch(X)), [])
    torch.manual_seed(5)
    expected = model(X)
    torch.manual_seed(5)
    dual = TangentPass(lambda block, output: torch.ones_like(output))
    net.run(dual, as_batch(X))
    torch.testing.assert_close(dual.logits, expected.detach())


class Spiking(nn.Module):
    """Leaky integrate-and-fire layers in the style of spiking libraries, as a plain recurrence over time steps."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Sequential(Leaky(4, 8), Leaky(8, 8), Leaky(8, 8))
        self.readout = nn.Linear(8, 3)

    def forward(self, x):
        return self.readout(self.layers(x.unsqueeze(1) * torch.ones(1, 5, 1)).mean(1))


class Leaky(nn.Module):
    def __init__(self, inputs, units):
        super().__init__()
        self.linear = nn.Linear(inputs, units)

    def forward(self, x):
        """(N, T, inputs) -> spikes (N, T, units)."""
        membrane, spikes = 0.0, []
        for current in (2 * self.linear(x)).unbind(1):
            membrane = 0.8 * membrane + current
            spikes.append(Spike.apply(membrane - 1, 2.0))
            membrane = membrane - spikes[-1].detach()
        return torch.stack(spikes, 1)


@pytest.mark.parametrize("layer", ["layers.0", "layers.1"])
def test_tangents_through_a_spiking_network_follow_surrogate_gradients(layer):
    ahead, behind = tangent_and_gradient(Spiking(), layer)
    assert behind.abs() > 1e-3
    torch.testing.assert_close(ahead, behind)


@pytest.mark.parametrize("rule", ["grape", "fg"])
def test_rules_of_forward_mode_train_a_spiking_network(rule):
    model = Spiking().train()
    gb.attach(model, make_rule(rule, **({"refresh": 1} if rule == "grape" else {})), X)
    nn.functional.cross_entropy(model(X), torch.tensor([0, 1, 2, 0, 1, 2])).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
    assert model.layers[0].linear.weight.grad.any()


@pytest.mark.parametrize(
    ("library", "function"),
    [
        ("snntorch.surrogate", lambda m: m.fast_sigmoid(5)),
        ("snntorch.surrogate", lambda m: m.atan()),
        ("snntorch.surrogate", lambda m: m.triangular()),
        ("snntorch.surrogate", lambda m: m.straight_through_estimator()),
        ("snntorch.surrogate", lambda m: m.custom_surrogate(lambda x, g, spikes: g / (1 + x.abs()))),
        ("spikingjelly.activation_based.surrogate", lambda m: m.ATan()),
        ("spikingjelly.activation_based.surrogate", lambda m: m.PiecewiseQuadratic()),
        ("spikingjelly.activation_based.surrogate", lambda m: m.LeakyKReLU()),
        ("norse.torch.functional.threshold", lambda m: lambda x: m.superspike_fn(x, torch.as_tensor(100.0))),
        ("norse.torch.functional.threshold", lambda m: lambda x: m.heavi_tanh_fn(x, 2.0)),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_the_surrogates_of_the_spiking_libraries(library, function):
    module = pytest.importorskip(library, exc_type=ImportError)
    ahead, behind = tangent_and_gradient(Middle(function(module)))
    assert behind.abs() > 1e-4
    torch.testing.assert_close(ahead, behind)
