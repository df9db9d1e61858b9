"""Graph networks: gcn and gat of PyTorch's `examples`, and GCN, GAT and GraphSAGE of torch_geometric's tutorials."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.zoo.entry import Entry, classes

NODES, FEATURES, CLASSES = 9, 5, 3
PAIRS = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 2, 4, 6], [1, 2, 3, 4, 5, 6, 7, 8, 0, 4, 6, 8, 1]])


class GraphConv(nn.Module):
    """Features times a bare parameter, then a sparse product with the adjacency."""

    def __init__(self, before, after):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(before, after) / before**0.5)

    def forward(self, x, adjacency):
        return torch.spmm(adjacency, torch.mm(x, self.kernel))


class Gcn(nn.Module):
    """Two graph convolutions; the network ends in a sparse product and log_softmax."""

    def __init__(self):
        super().__init__()
        self.gc1, self.gc2, self.dropout = GraphConv(FEATURES, 8), GraphConv(8, CLASSES), nn.Dropout(0.2)

    def forward(self, x, adjacency):
        x = self.dropout(F.relu(self.gc1(x, adjacency)))
        return F.log_softmax(self.gc2(x, adjacency), dim=1)


class GraphAttention(nn.Module):
    """Attention over neighbors, with heads concatenated or averaged (Velickovic et al. 2018)."""

    def __init__(self, before, after, heads, concat):
        super().__init__()
        self.heads, self.concat, self.after = heads, concat, after // heads if concat else after
        self.W = nn.Parameter(torch.empty(before, self.after * heads))
        self.a = nn.Parameter(torch.empty(heads, 2 * self.after, 1))
        self.leakyrelu, self.softmax = nn.LeakyReLU(0.2), nn.Softmax(dim=-1)
        nn.init.xavier_normal_(self.W)
        nn.init.xavier_normal_(self.a)

    def forward(self, h, adjacency):
        made = F.dropout(torch.mm(h, self.W), 0.2, training=self.training)
        made = made.view(len(h), self.heads, self.after).permute(1, 0, 2)
        source = torch.matmul(made, self.a[:, : self.after, :])
        target = torch.matmul(made, self.a[:, self.after :, :])
        scores = self.leakyrelu(source + target.mT)
        scores = torch.where(adjacency > 0, scores, -9e16 * torch.ones_like(scores))
        attention = F.dropout(self.softmax(scores), 0.2, training=self.training)
        mixed = torch.matmul(attention, made)
        if self.concat:
            return mixed.permute(1, 0, 2).contiguous().view(len(h), -1)
        return mixed.mean(dim=0)


class Gat(nn.Module):
    """Two layers of graph attention."""

    def __init__(self):
        super().__init__()
        self.gat1 = GraphAttention(FEATURES, 8, heads=2, concat=True)
        self.gat2 = GraphAttention(8, CLASSES, heads=1, concat=False)

    def forward(self, x, adjacency):
        x = F.dropout(F.elu(self.gat1(x, adjacency)), 0.2, training=self.training)
        return F.log_softmax(self.gat2(x, adjacency), dim=1)


class Convolutions(nn.Module):
    """Two graph convolutions with an activation and dropout, as in torch_geometric's introduction."""

    def __init__(self, first, second, activation, drop_first=False):
        super().__init__()
        self.conv1, self.conv2, self.activation, self.drop_first = first, second, activation, drop_first

    def forward(self, x, edge_index):
        if self.drop_first:
            x = F.dropout(x, p=0.2, training=self.training)
        x = self.activation(self.conv1(x, edge_index))
        x = F.dropout(x, training=self.training)
        return F.log_softmax(self.conv2(x, edge_index), dim=1)


class OfData(Convolutions):
    """The same with a `Data` object as its input."""

    def forward(self, data):
        return super().forward(data.x, data.edge_index)


def pyg_gcn(kind=Convolutions):
    from torch_geometric.nn import GCNConv

    return kind(GCNConv(FEATURES, 8), GCNConv(8, CLASSES), F.relu)


def pyg_gat():
    from torch_geometric.nn import GATConv

    second = GATConv(8, CLASSES, heads=1, concat=False, dropout=0.2)
    return Convolutions(GATConv(FEATURES, 4, heads=2, dropout=0.2), second, F.elu, drop_first=True)


def pyg_sage():
    from torch_geometric.nn import SAGEConv

    return Convolutions(SAGEConv(FEATURES, 8), SAGEConv(8, CLASSES), F.relu)


def adjacency():
    """Row-normalized, with self-loops, dense (nodes, nodes)."""
    dense = torch.eye(NODES)
    dense[PAIRS[0], PAIRS[1]] = dense[PAIRS[1], PAIRS[0]] = 1
    return dense / dense.sum(1, keepdim=True)


def features():
    return torch.randn(NODES, FEATURES)


def edges():
    return torch.cat([PAIRS, PAIRS.flip(0)], 1)


def data():
    from torch_geometric.data import Data

    return Data(x=features(), edge_index=edges())


def labeled(output):
    """Only the first six nodes have labels."""
    return F.nll_loss(output[:6], classes(6, CLASSES))


GEOMETRIC = ("torch_geometric",)

PYG_GCN = Entry(
    "pyg_gcn",
    pyg_gcn,
    lambda: (features(), edges()),
    labeled,
    ("conv1.*weight",),
    ("conv2.*weight",),
    (9, 3),
    imports=GEOMETRIC,
    family="graph",
)

ENTRIES = [
    Entry(
        "gcn",
        Gcn,
        lambda: (features(), adjacency().to_sparse_coo()),
        labeled,
        ("gc1.kernel",),
        ("gc2.kernel",),
        (9, 3),
    ),
    Entry("gat", Gat, lambda: (features(), adjacency()), labeled, ("gat1.*",), ("gat2.*",), (9, 3), last=("gat2.a",)),
    PYG_GCN,
    replace(PYG_GCN, name="pyg_gcn_of_data", make=lambda: pyg_gcn(OfData), example=data),
    Entry(
        "pyg_gat",
        pyg_gat,
        lambda: (features(), edges()),
        labeled,
        ("conv1.*",),
        ("conv2.*",),
        (9, 3),
        refused={"fa": r"att_src.*cannot change"},
        imports=GEOMETRIC,
        family="graph",
    ),
    Entry(
        "pyg_sage",
        pyg_sage,
        lambda: (features(), edges()),
        labeled,
        ("conv1.*weight",),
        ("conv2.*weight",),
        (9, 3),
        imports=GEOMETRIC,
        family="graph",
    ),
]
