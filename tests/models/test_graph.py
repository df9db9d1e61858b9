import sys
from typing import Any

import pytest
import torch

from grape_bench.errors import UserError
from grape_bench.models import build
from grape_bench.models.inputs import Inputs
from tests.models.sets import load_set


@pytest.mark.parametrize(
    ("model", "size"),
    [("gcn", 1433 * 16 + 16 + 16 * 7 + 7), ("gat", 1433 * 64 + 3 * 64 + 64 * 7 + 3 * 7)],  # as published for Cora
)
def test_the_default_networks_are_the_published_ones(model: str, size: int) -> None:
    pytest.importorskip("torch_geometric")
    from grape_bench.models import gat, gcn

    inputs = Inputs((torch.zeros(1, 1433), torch.zeros(2, 0, dtype=torch.int64)), unit="node")
    made = {"gcn": gcn.gcn, "gat": gat.gat}[model]((1433,), 7, inputs)
    assert sum(parameter.numel() for parameter in made.parameters()) == size


@pytest.mark.parametrize("model", ["gcn", "gat"])
def test_a_node_sees_its_neighbors_and_nothing_else(model: str, sets: dict[str, dict[str, Any]]) -> None:
    pytest.importorskip("torch_geometric")
    data = load_set(sets["graph"])
    made = build(model, shape=data.shape, classes=data.classes, args={}, data=data).eval()
    x, edges = torch.eye(4)[:, :3], torch.tensor([[0], [1]])  # from node 0 to node 1
    changed = x.clone()
    changed[0] += 1
    differs = (made(x, edges) - made(changed, edges)).abs().sum(1) > 0
    assert differs.tolist() == [True, True, False, False]


@pytest.mark.parametrize("model", ["gcn", "gat"])
def test_other_data_is_refused(model: str, sets: dict[str, dict[str, Any]]) -> None:
    data = load_set(sets["digits"])
    with pytest.raises(UserError, match='needs a graph, not numbers\n  try: model = "mlp"'):
        build(model, shape=data.shape, classes=data.classes, args={}, data=data)


def test_a_missing_package_is_named(sets: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_geometric.nn", None)
    data = load_set(sets["graph"])
    with pytest.raises(UserError, match=r"needs torch_geometric\n  try: pip install grape-bench\[graph\]"):
        build("gcn", shape=data.shape, classes=data.classes, args={}, data=data)
