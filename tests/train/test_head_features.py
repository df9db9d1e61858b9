"""What the output layer reads: in evaluation mode, after one pass has set the statistics of BatchNorm."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import grape_bench as gb
from grape_bench.data.rows import RowSplit, Samples
from grape_bench.network.network import Network
from grape_bench.objectives.classification import Classification
from grape_bench.train import head_features
from grape_bench.train.head_features import features_of, linear_head, set_statistics
from grape_bench.train.head_fit import rows_of


def split(rows: int = 10) -> RowSplit:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(rows, 4, generator=generator) * 3 + 1
    return rows_of(Samples((inputs,), torch.arange(rows) % 3))


def network(tail: Callable[[], nn.Module] = lambda: nn.Linear(8, 3)) -> Network:
    torch.manual_seed(0)
    blocks = nn.Sequential(*(nn.Sequential(nn.Linear(n, 8), nn.ReLU(), nn.Dropout(0.5)) for n in (4, 8)))
    return gb.attach(nn.Sequential(blocks, tail()), "head-only", split().samples.inputs[0])


def output_layer(net: Network) -> nn.Linear | None:
    objective = Classification()
    objective.size = objective.classes = 3
    batch, target = next(iter(split().batches(4)))
    return linear_head(net, batch, target, objective)


def test_the_statistics_are_the_mean_over_the_batches_of_one_pass() -> None:
    norm, kept = nn.BatchNorm1d(4), nn.BatchNorm1d(4).eval()
    model = nn.Sequential(norm, kept, nn.Dropout(0.5))
    kept.running_mean.fill_(7.0)
    set_statistics(model, split(9), 4)  # the last batch has one sample, which has no variance
    batches = [args[0] for (args, _), _ in split(9).batches(4)][:2]
    torch.testing.assert_close(norm.running_mean, torch.stack([one.mean(0) for one in batches]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([one.var(0) for one in batches]).mean(0))
    assert norm.momentum == 0.1 and norm.training and model[2].training
    assert kept.running_mean.eq(7).all() and not kept.training, "a frozen norm keeps its statistics"


def test_features_are_what_the_layer_reads_in_evaluation_mode() -> None:
    net = network()
    blocks, head = net.model[0], net.model[1]
    found = features_of(net.model, head, split(), 4)
    assert blocks[0].training and torch.equal(found.target, torch.arange(10) % 3)
    net.detach()
    torch.testing.assert_close(found.inputs[0], blocks.eval()(split().samples.inputs[0]).detach())


def test_too_many_features_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_features, "LARGEST", 79)
    net = network()
    with pytest.raises(MemoryError, match="more than 79 numbers"):
        features_of(net.model, net.model[1], split(), 4)


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.layer(x)


@pytest.mark.parametrize(
    ("tail", "fitted"),
    [
        (lambda: nn.Linear(8, 3), True),
        (lambda: nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 3, bias=False)), True),
        (lambda: nn.Sequential(nn.Linear(8, 3), nn.LogSoftmax(-1)), True),
        (lambda: nn.Sequential(nn.Linear(8, 3), nn.Softplus()), False),
        (Scaled, False),
    ],
)
def test_a_head_is_fitted_if_it_is_one_linear_layer_that_returns_the_scores(
    tail: Callable[[], nn.Module], fitted: bool
) -> None:
    assert isinstance(output_layer(network(tail)), nn.Linear) is fitted
