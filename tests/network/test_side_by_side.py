"""An encoder that runs on several inputs side by side is cut inside, at all of its calls."""

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from benchmarks.injection import Injected, Recorded
from grape_bench.network.trace import as_batch


class Twins(nn.Module):
    """Compares what one encoder makes of each input: |a - b|, or a and b side by side."""

    def __init__(self, encoder, width, joined=False):
        super().__init__()
        self.encoder, self.joined = encoder, joined
        self.head = nn.Linear(2 * width if joined else width, 3)

    def forward(self, a, b):
        a, b = self.encoder(a), self.encoder(b)
        return self.head(torch.cat([a, b], 1) if self.joined else (a - b).abs())


def resnet():
    return timm.create_model("resnet18", num_classes=0, zero_init_last=False)


def vit():
    return timm.create_model(
        "vit_tiny_patch16_224", num_classes=0, img_size=32, patch_size=8, depth=3, embed_dim=48, num_heads=3
    )


def images():
    return torch.randn(4, 3, 32, 32), torch.randn(4, 3, 32, 32)


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize(
    ("encoder", "width", "blocks"),
    [(resnet, 512, [f"encoder.layer{i}.{j}" for i in (1, 2, 3, 4) for j in (0, 1)]), (vit, 48, ["encoder.blocks.0"])],
)
def test_the_blocks_of_the_encoder_are_cut_at_both_calls(encoder, width, blocks, joined):
    net = gb.attach(Twins(encoder(), width, joined), "dfa", images())
    found = [block.name for block in net.blocks]
    assert found[: len(blocks)] == blocks
    assert {block.calls for block in net.blocks if block.name.startswith("encoder.")} == {2}


@pytest.mark.parametrize("encoder", [resnet, vit])
def test_with_the_true_signals_injected_every_gradient_is_backpropagations(encoder):
    width = 512 if encoder is resnet else 48
    model, batch = Twins(encoder(), width).eval(), as_batch(images())
    net = gb.attach(model, "dfa", images())

    def gradients(pass_):
        model.zero_grad()
        F.cross_entropy(net.run(pass_, batch), torch.arange(4) % 3).backward()
        return {name: p.grad.clone() for name, p in model.named_parameters()}

    recorded = Recorded()
    expected = gradients(recorded)
    for name, gradient in gradients(Injected(recorded)).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6, msg=name)


def test_without_signals_nothing_reaches_the_encoder():
    model = Twins(resnet(), 512)
    net = gb.attach(model, "head-only", images())
    model(*images()).sum().backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {"head.weight", "head.bias"}
    assert net.bp_fraction == 0


def test_a_recurrent_cell_is_not_side_by_side():
    """Each of its calls reads the call before, so there is nothing to look at alone."""

    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = nn.GRUCell(4, 8), nn.Linear(8, 3)

        def forward(self, x):
            h = None
            for step in x.unbind(1):
                h = self.cell(step, h)
            return self.head(h)

    net = gb.attach(Loop(), "dfa", torch.randn(5, 6, 4), cuts="time")
    assert len(net.blocks) == 6


@pytest.mark.parametrize("rule", ["grape", "grape+refit", "fg", "drtp", "local", "fa"])
def test_rules_train_an_encoder_at_both_calls(rule):
    model = Twins(vit(), 48).train()
    net = gb.attach(model, rule, images())
    net.begin_epoch(1)
    F.cross_entropy(model(*images()), torch.arange(4) % 3).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
