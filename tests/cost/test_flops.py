"""FLOPs of multilayer perceptrons, where they can be counted by hand."""

from itertools import pairwise

import pytest
import torch

import grape_bench as gb
from grape_bench.cost.flops import step_flops
from tests.network.problems import loss_of, tanh_mlp

N, SIZES = 16, (32, 64, 64, 8)
PRODUCTS = [2 * N * a * b for a, b in pairwise(SIZES)]  # one GEMM per linear map


def flops_of(rule, **settings):
    x = torch.randn(N, SIZES[0])
    net = gb.attach(tanh_mlp(SIZES), gb.make_rule(rule, **settings), x)
    return step_flops(net, ((x,), {}), loss_of)


def test_bp_makes_three_products_per_map_but_none_for_the_input():
    flops = flops_of("bp")
    assert flops.forward == sum(PRODUCTS)
    assert flops.backward == 2 * sum(PRODUCTS) - PRODUCTS[0]
    assert flops.critical == flops.total and flops.tangents == 0


def test_dfa_makes_no_product_for_any_input_and_waits_for_one_block_only():
    flops = flops_of("dfa")
    feedback = [2 * N * SIZES[-1] * width for width in SIZES[1:-1]]
    assert flops.backward == sum(PRODUCTS) + sum(feedback)
    slowest = max(*(map(sum, zip(PRODUCTS, feedback, strict=False))), PRODUCTS[-1])
    assert flops.critical == flops.forward + slowest


def test_grape_adds_a_dual_forward_of_two_products_per_map_at_most():
    dfa, every = flops_of("dfa"), flops_of("grape", refresh=1)
    outer = sum(2 * (N // 2) * SIZES[-1] * width for width in SIZES[1:-1])
    assert every.backward == dfa.backward
    # The tangent starts behind the first block: its own map needs no second product.
    assert every.tangents == sum(PRODUCTS) + sum(PRODUCTS[1:]) + outer
    rarely = flops_of("grape", refresh=4)
    assert rarely.tangents == pytest.approx(every.tangents / 4)


def test_a_lean_step_makes_its_forward_twice():
    x = torch.randn(N, SIZES[0])
    for rule, spared in (("dfa", 0), ("grape", 1), ("grape-lazy", 1 / 8)):  # a refresh is a forward
        net = gb.attach(tanh_mlp(SIZES), rule, x)
        once, twice = (step_flops(net, ((x,), {}), loss_of, forwards) for forwards in (1, 2))
        assert twice.total - once.total == twice.critical - once.critical == (1 - spared) * sum(PRODUCTS)


def test_counting_leaves_no_gradients_and_no_statistics():
    x = torch.randn(8, 3, 32, 32)
    model = torch.nn.Sequential(
        *[torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.ReLU()) for _ in range(2)],
        torch.nn.Flatten(),
        torch.nn.Linear(3 * 28 * 28, 4),
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    net = gb.attach(model, "dfa", x)
    step_flops(net, ((x,), {}), loss_of)
    net.detach()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("rule", ["bp", "fa", "dfa", "grape", "head-only"])
def test_the_segments_make_up_the_step(rule):
    flops = flops_of(rule)
    assert len(flops.segments) == 3 and flops.segments[-1].name == ""
    assert sum(segment.forward for segment in flops.segments) == flops.forward
    assert sum(segment.backward for segment in flops.segments) == flops.backward
    assert flops.independent == (rule in ("dfa", "grape", "head-only"))


def test_a_network_that_overwrites_its_activations_is_counted_too():
    x = torch.randn(8, 16)
    layers = [torch.nn.Sequential(torch.nn.ReLU(inplace=True), torch.nn.Linear(16, 16)) for _ in range(3)]
    model = torch.nn.Sequential(torch.nn.Linear(16, 16), *layers, torch.nn.ReLU(inplace=True), torch.nn.Linear(16, 4))
    for rule in ("bp", "dfa"):
        net = gb.attach(model, rule, x)
        assert step_flops(net, ((x,), {}), loss_of).total > 0
        net.detach()


class Recurrent(torch.nn.Module):
    """Two LSTM layers of 8 units on series of 3 numbers, read at the last step."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.LSTM(size, 8, batch_first=True) for size in (3, 8))
        self.head = torch.nn.Linear(8, 4)

    def forward(self, x):
        for layer in self.layers:
            x, _ = layer(x)
        return self.head(x[:, -1])


def test_an_lstm_is_counted_in_single_precision_too():
    """On a CPU a fused kernel takes single precision only. PyTorch's counter has no formula for it."""
    counts = {}
    for dtype in (torch.float32, torch.float64):
        x = torch.randn(2, 5, 3, dtype=dtype)
        net = gb.attach(Recurrent().to(dtype), "bp", x)
        counts[dtype] = step_flops(net, ((x,), {}), loss_of)
    forward = sum(2 * 2 * 5 * 4 * 8 * (size + 8) for size in (3, 8)) + 2 * 2 * 8 * 4
    assert counts[torch.float32].forward == counts[torch.float64].forward == forward
    assert counts[torch.float32].backward == counts[torch.float64].backward > forward
