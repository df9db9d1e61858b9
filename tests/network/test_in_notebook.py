"""A network in a notebook: a row per block, and which parameters get which gradient."""

from __future__ import annotations

import torch

import grape_bench as gb
from tests.network.problems import tanh_mlp


def test_a_network_lists_its_blocks_and_gradients() -> None:
    net = gb.attach(tanh_mlp(), "dfa", torch.randn(4, 6))
    page = net._repr_html_()
    assert "<b>Sequential with DFA</b>" in page and page.count("<tr>") == 1 + len(net.blocks)
    assert all(f">{block.name}<" in page for block in net.blocks)
    assert "4 rule, 2 exact" in page
