"""LSTM and GRU written out: PyTorch's own results, and tangents through them."""

import pytest
import torch
from torch import nn

import grape_bench as gb
from grape_bench.network import tangents
from grape_bench.network.recurrent import layers, step, takes
from grape_bench.rules.grape import GrAPE
from tests.network.test_devices import Reader


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(("name", "layer"), [("lstm", nn.LSTM), ("gru", nn.GRU)])
def test_layers_equal_pytorchs(name, layer, batch_first, bidirectional, bias):
    module = layer(3, 4, num_layers=2, bias=bias, bidirectional=bidirectional, batch_first=batch_first)
    x = torch.randn(5, 6, 3)
    output, state = module(x)
    h = torch.zeros(4 if bidirectional else 2, 5 if batch_first else 6, 4)
    initial = (h, h) if name == "lstm" else h
    args = (x, initial, module._flat_weights, bias, 2, 0.0, True, bidirectional, batch_first)
    assert takes(args)
    found, *ends = layers(name, args)
    assert torch.allclose(found, output, atol=1e-6)
    for end, expected in zip(ends, state if name == "lstm" else [state], strict=True):
        assert torch.allclose(end, expected, atol=1e-6)


@pytest.mark.parametrize(("name", "cell"), [("lstm", nn.LSTMCell), ("gru", nn.GRUCell)])
def test_cells_equal_pytorchs(name, cell):
    module, x, h = cell(3, 4), torch.randn(5, 3), torch.randn(5, 4)
    state = (h, torch.randn(5, 4)) if name == "lstm" else h
    expected, found = module(x, state), step(name, x, state, *module.parameters())
    pairs = zip(expected, found, strict=True) if name == "lstm" else [(expected, found)]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)


def test_projections_and_packed_sequences_are_left_to_pytorch():
    module = nn.LSTM(3, 4, proj_size=2)
    assert not takes((torch.randn(5, 6, 3), (), module._flat_weights, True, 1, 0.0, True, False, False))
    packed = (torch.randn(9, 3), torch.tensor([5, 4]), (), module._flat_weights, True, 1, 0.0, True, False)
    assert not takes(packed)


def test_grape_aligns_the_same_through_written_out_layers(monkeypatch):
    """What CUDA takes, forced on the CPU: the same estimate of the Jacobian."""
    feedback = []
    for fused in (False, True):
        monkeypatch.setattr(tangents, "_fused", lambda x, fused=fused: fused)
        torch.manual_seed(0)
        model, x = Reader().train(), torch.randn(4, 6, 5)
        gb.attach(model, GrAPE(refresh=1), x)
        model(x)
        feedback.append([buffer for name, buffer in model.named_buffers() if "grape_bench" in name])
    assert feedback[0]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*feedback, strict=True))
