"""Sparse products, segments and message passing on dual numbers, against autograd: <u, J v> = <J^T u, v>."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from grape_bench.errors import UserError
from grape_bench.rules.make import make_rule
from tests.network.test_custom_functions import Middle, tangent_and_gradient

DENSE = torch.tensor([[0.5, 0, 0, 0, 0, 2], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0], [1, 0, 0, 3, 0, 0]])
DENSE = torch.cat([DENSE, torch.eye(6)[:2] - 0.3 * torch.eye(6)[3:5]])  # (6, 6) on the 6 rows of X
EDGES = torch.tensor([[0, 1, 1, 2, 4, 5, 3], [1, 0, 2, 3, 5, 1, 3]])
LAYOUTS = {"coo": DENSE.to_sparse(), "csr": DENSE.to_sparse_csr()}
OFFSETS = torch.tensor([0, 2, 3, 6])
PRODUCTS = {
    "sparse.mm": lambda a, x: torch.sparse.mm(a, x),
    "@": lambda a, x: a @ x,
    "mm": lambda a, x: torch.mm(a, x),
    "addmm": lambda a, x: torch.sparse.addmm(x, a, x, beta=0.5, alpha=2.0),
    "mean": lambda a, x: torch.sparse.mm(a, x, "mean"),
    "mv": lambda a, x: torch.mv(a, x[:, 0]).unsqueeze(1) * x,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_products_with_a_sparse_matrix(name, layout):
    if (name, layout) == ("mean", "coo"):
        pytest.skip("PyTorch reduces rows of CSR matrices only")
    ahead, behind = tangent_and_gradient(Middle(lambda x: PRODUCTS[name](LAYOUTS[layout], x)))
    assert behind.abs() > 1e-3
    torch.testing.assert_close(ahead, behind)


@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min"])
def test_segments(reduce):
    def through(x):
        return torch.segment_reduce(x.relu(), reduce, offsets=OFFSETS)[torch.tensor([0, 1, 2, 2, 0, 1])]

    ahead, behind = tangent_and_gradient(Middle(through))
    torch.testing.assert_close(ahead, behind)


def test_what_has_no_derivative_is_refused_by_name():
    for through, name in [
        (lambda x: torch.sparse.mm(LAYOUTS["csr"], x, "amax"), "sparse.mm with reduce='amax'"),
        (lambda x: x.scatter_reduce(0, torch.zeros(6, 5).long(), x, "prod"), "scatter_reduce with reduce='prod'"),
    ]:
        with pytest.raises(UserError, match=name):
            tangent_and_gradient(Middle(through))


def attend(x):
    q = x.reshape(1, 1, 6, 5)
    return q, torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


@pytest.mark.parametrize("call", ["operator", "overload", "functional", "context"])
def test_attention_on_the_flash_kernel_of_the_cpu(call):
    def through(x):
        q, flash = attend(x)
        if call == "functional":
            return F.scaled_dot_product_attention(q, q.sin(), q, is_causal=True).reshape(6, 5)
        if call == "context":
            with nn.attention.sdpa_kernel(nn.attention.SDPBackend.FLASH_ATTENTION):
                return F.scaled_dot_product_attention(q, q.sin(), q).reshape(6, 5)
        flash = flash.default if call == "overload" else flash
        return flash(q, q.sin(), q, 0.0, True, scale=0.5)[0].reshape(6, 5)

    ahead, behind = tangent_and_gradient(Middle(through))
    assert behind.abs() > 1e-3
    torch.testing.assert_close(ahead, behind, rtol=1e-4, atol=1e-4)


class Graph(nn.Module):
    """Two graph layers of torch_geometric; the features are the input and the edges belong to the model."""

    def __init__(self, layer):
        super().__init__()
        torch.manual_seed(2)
        self.first, self.second, self.head = layer(4, 8), layer(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.second(self.first(x, EDGES).relu(), EDGES).relu())


@pytest.mark.parametrize("name", ["GCNConv", "GATConv", "SAGEConv", "GINConv", "TransformerConv"])
@pytest.mark.filterwarnings("ignore")
def test_the_layers_of_torch_geometric(name):
    geometric = pytest.importorskip("torch_geometric.nn", exc_type=ImportError)

    def layer(inputs, outputs):
        kind = getattr(geometric, name)
        return kind(nn.Linear(inputs, outputs)) if name == "GINConv" else kind(inputs, outputs)

    ahead, behind = tangent_and_gradient(Graph(layer))
    assert behind.abs() > 1e-4
    torch.testing.assert_close(ahead, behind)


class SparseGCN(nn.Module):
    """Two graph layers written with a sparse adjacency matrix."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        adjacency = LAYOUTS["coo"]
        x = torch.sparse.mm(adjacency, self.first(x)).relu()
        return self.head(torch.spmm(adjacency, self.second(x)).relu())


@pytest.mark.parametrize("rule", ["grape", "fg"])
def test_rules_of_forward_mode_train_a_graph_network(rule):
    model, x = SparseGCN().train(), torch.randn(6, 4)
    gb.attach(model, make_rule(rule, **({"refresh": 1} if rule == "grape" else {})), x, blocks=["first", "second"])
    F.cross_entropy(model(x), torch.tensor([0, 1, 2, 0, 1, 2])).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
