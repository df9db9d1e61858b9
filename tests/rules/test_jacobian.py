"""GrAPE's estimate against the exact Jacobian, and the paper's bound on their cosine."""

import copy
import math

import pytest
import torch
from torch.func import jacrev, vmap

import grape_bench as gb
from grape_bench.attachment import attached
from grape_bench.network.axes import Samples
from grape_bench.rules.jacobian import Sampling, estimate_jacobians, first_samples
from grape_bench.rules.layout import Dense
from tests.network.problems import tanh_mlp

SIZES = (5, 8, 6, 3)


@pytest.fixture
def net():
    return gb.attach(tanh_mlp(SIZES), "bp", torch.randn(2, 5))


def layouts(net):
    return {block.name: Dense(block.size) for block in net.blocks}


def exact_jacobians(net, x):
    """Mean over the batch of J_l = d logits / d h_l, by reverse mode through the rest of the network."""
    jacobians = {}
    model = copy.deepcopy(net.model)
    attached(model).detach()  # its parts are called one by one
    for block in net.blocks:
        cut = int(block.name) + 1
        h = model[:cut](x).detach()
        jacobians[block.name] = vmap(jacrev(model[cut:]))(h)
    return jacobians


@pytest.mark.parametrize("estimator", ["split", "joint"])
def test_the_estimate_converges_to_the_exact_jacobian(net, estimator):
    x = torch.randn(1, 5).expand(64, 5).contiguous()
    sampling = Sampling(perturbations=400, estimator=estimator)
    estimates = estimate_jacobians(net, ((x,), {}), layouts(net), sampling)
    for name, jacobian in exact_jacobians(net, x).items():
        exact, found = jacobian.mean(0), estimates[name].matrix
        assert (found - exact).norm() / exact.norm() < 0.08, name


def test_more_samples_bring_the_estimate_closer_as_one_over_their_root(net):
    def error(perturbations):
        x = torch.randn(1, 5).expand(32, 5).contiguous()
        exact = exact_jacobians(net, x)["1"].mean(0)
        sampling = Sampling(perturbations, estimator="joint")
        errors = [
            (estimate_jacobians(net, ((x,), {}), layouts(net), sampling)["1"].matrix - exact).norm() for _ in range(40)
        ]
        return torch.stack(errors).square().mean().sqrt()

    assert (error(1) / error(16)).item() == pytest.approx(4, rel=0.25)


def test_the_bound_on_the_expected_cosine_holds(net):
    """E[cos_F(J, J^)] >= sqrt(2 / (pi n_l)) ||J||_2 / ||J||_F for one p and one sample, and J^ beats chance."""
    x = torch.randn(1, 5)
    exact = exact_jacobians(net, x)
    for block in net.blocks:
        J = exact[block.name][0]
        layout = {block.name: Dense(block.size)}
        cosines = []
        for _ in range(400):
            estimate = estimate_jacobians(net, ((x,), {}), layout, Sampling(estimator="joint"))[block.name].matrix
            cosines.append((estimate * J).sum() / (estimate.norm() * J.norm()))
        bound = math.sqrt(2 / (math.pi * block.size)) * torch.linalg.matrix_norm(J, 2) / J.norm()
        mean, error = torch.stack(cosines).mean(), torch.stack(cosines).std() / math.sqrt(400)
        assert mean + 2 * error > bound > 0
        assert mean > 0.8 * bound, "the measured mean itself is near or above the bound"


def test_split_gives_every_sample_to_one_block(net):
    estimates = estimate_jacobians(net, ((torch.randn(9, 5),), {}), layouts(net), Sampling())
    assert sorted(estimate.samples for estimate in estimates.values()) == [4, 5]


def test_the_fraction_shortens_the_batch(net):
    sampling = Sampling(fraction=0.25, estimator="joint")
    estimates = estimate_jacobians(net, ((torch.randn(40, 5),), {}), layouts(net), sampling)
    assert {estimate.samples for estimate in estimates.values()} == {10}


def test_estimating_draws_nothing_from_the_global_random_state(net):
    before = torch.get_rng_state()
    estimate_jacobians(net, ((torch.ones(8, 5),), {}), layouts(net), Sampling())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("rule", ["grape-quarter", "grape-quarter+anchor"])
def test_a_share_of_a_graph_is_refused_at_once(rule):
    """Its edges name nodes that would be missing. On a GPU that error would end the process."""
    nodes, edges = torch.randn(8, 5), torch.tensor([[0, 1, 7], [7, 0, 3]])

    class OneHop(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = torch.nn.Linear(5, 6), torch.nn.Linear(6, 3)

        def forward(self, x, edge_index):
            source, target = edge_index
            h = self.first(x).relu()
            return self.last(h.index_add(0, target, h[source]))

    with pytest.raises(gb.DoesNotApplyError, match="shape \\(2, 3\\) has integers that belong to no sample") as refusal:
        gb.attach(OneHop(), rule, (nodes, edges))
    assert "`grape` in place of `grape-quarter`" in str(refusal.value)
    gb.attach(OneHop(), "grape", (nodes, edges))


def test_a_share_is_refused_where_an_input_is_sparse():
    """The adjacency of PyTorch's example of a GCN."""

    class Spread(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = torch.nn.Linear(5, 6), torch.nn.Linear(6, 3)

        def forward(self, x, adjacency):
            return self.last(torch.sparse.mm(adjacency, self.first(x).relu()))

    with pytest.raises(gb.DoesNotApplyError, match="is sparse, such as the edges of a graph"):
        gb.attach(Spread(), "grape-quarter", (torch.randn(8, 5), torch.eye(8).to_sparse_coo()))


def test_tokens_and_their_masks_may_be_a_share():
    batch = {"input_ids": torch.randint(60, (8, 6)), "mask": torch.ones(6, 6, dtype=torch.bool)}
    _, found = first_samples(((), batch), 0.25, Samples(8))
    assert found["input_ids"].shape == (2, 6)
    assert found["mask"].shape == (6, 6)
