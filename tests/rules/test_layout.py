import torch
from torch import nn

from grape_bench.network.block import Block
from grape_bench.rules.layout import SKETCH, Dense, LowRank, PerChannel, PerToken


def test_every_layout_passes_on_the_norm_of_the_error():
    """`spread` keeps the norm of its rows, so a B with rows of norm one has one scale in every layout."""
    for layout, shape in [(Dense(24), (2, 6, 4)), (PerToken(4), (2, 6, 4)), (PerChannel(6, 1), (2, 6, 2, 2))]:
        rows = torch.randn(layout.row_count(torch.Size(shape)), layout.features)
        torch.testing.assert_close(layout.spread(rows, torch.Size(shape)).norm(), rows.norm())


def test_a_sketch_shortens_the_errors_and_leaves_the_signals_alone():
    block = Block("b", nn.Linear(4, 4), (4,))
    block.store(SKETCH, torch.randn(10, 3))
    layout, error = LowRank(PerChannel(6, 1), block), torch.randn(2, 10)
    assert torch.equal(layout.rows(error), error @ block.load(SKETCH))
    assert layout.outputs((10,)) == 3 and layout.features == 6
