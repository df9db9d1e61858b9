"""A network as a table: a row per block, and which parameters get which gradient."""

from __future__ import annotations

import torch
from torch import nn

import grape_bench as gb
from tests.network.problems import tanh_mlp


def test_a_summary_has_a_row_per_block_and_for_the_head() -> None:
    net = gb.attach(tanh_mlp(), "dfa", torch.randn(4, 6))
    title, heading, *rows, total = net.summary().splitlines()
    assert title == "Sequential with DFA" and heading.split() == ["block", "output", "cut", "trainable", "gradients"]
    assert [row.split()[:2] for row in rows] == [["1", "7"], ["3", "5"], ["(head)", "4"]]
    assert [row.split()[-3:] for row in rows] == [["49", "2", "rule"], ["40", "2", "rule"], ["24", "2", "exact"]]
    assert total == "gradients of parameters: 4 rule, 2 exact"


def test_frozen_numbers_do_not_count_as_trainable() -> None:
    rows = gb.attach(tanh_mlp(), "head-only", torch.randn(4, 6)).summary().splitlines()[2:]
    assert rows[0].split()[-3:] == ["0", "2", "frozen"] and rows[2].split()[-3:] == ["24", "2", "exact"]


def test_what_the_rule_owns_has_a_row() -> None:
    class Owning(gb.DirectFeedback):
        def setup(self, network):
            super().setup(network)
            network.blocks[0].own(nn.Linear(4, 7))

    net = gb.attach(tanh_mlp(), Owning(), torch.randn(4, 6))
    assert net.summary().splitlines()[-2].split() == ["(owned)", "35", "2", "owned"]


def test_a_notebook_shows_the_same_table() -> None:
    net = gb.attach(tanh_mlp(), "dfa", torch.randn(4, 6))
    page = net._repr_html_()
    assert "<b>Sequential with DFA</b>" in page and page.count("<tr>") == 2 + len(net.blocks)
    assert all(f">{block.name}<" in page for block in net.blocks)
    assert "4 rule, 2 exact" in page
