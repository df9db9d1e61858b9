import weakref

import pytest
import torch
from torch import nn

import grape_bench as gb
from grape_bench import UserError
from grape_bench.network.find import find_blocks
from grape_bench.network.trace import as_batch, trace
from tests.network.problems import BY_NAME, PROBLEMS, Problem, loss_of, tanh_mlp


def blocks_of(model, example, **options):
    return find_blocks(model, trace(model, as_batch(example)), **options)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_blocks_are_the_repeated_modules(problem: Problem):
    blocks = blocks_of(problem.model(), problem.batch())
    assert (len(blocks), blocks[0].name, blocks[-1].name) == (problem.blocks, problem.first, problem.last)


def test_a_bare_layer_is_cut_after_its_nonlinearity_and_pooling():
    conv = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.ReLU()]
    model = nn.Sequential(*conv, nn.Flatten(), nn.Linear(64, 3))
    assert [(block.name, block.shape) for block in blocks_of(model, torch.randn(2, 1, 14, 14))] == [
        ("3", (4, 6, 6)),
        ("6", (64,)),
    ]


def test_a_module_beside_a_skip_connection_is_no_block():
    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            for layer in self.layers:
                x = x + layer(x)
            return self.head(x)

    with pytest.raises(UserError, match="no repeated modules"):
        blocks_of(Skip(), torch.randn(2, 4))


def test_globs_override_the_search():
    model = BY_NAME["vit"].model()
    for glob, names in (("blocks.[02]", ["blocks.0", "blocks.2"]), ("blocks.*", ["blocks.0", "blocks.1", "blocks.2"])):
        assert [block.name for block in blocks_of(model, torch.randn(2, 3, 32, 32), globs=[glob])] == names
    with pytest.raises(UserError, match=r"'block\.\*' matches no module") as unknown:
        blocks_of(model, torch.randn(2, 3, 32, 32), globs=["block.*"])
    assert "blocks.*.mlp.fc1" in unknown.value.allowed and "blocks.*, blocks, " in unknown.value.allowed


def test_a_cut_that_the_outputs_gradient_goes_around_is_refused_and_the_clean_ones_are_named():
    model, x = BY_NAME["vit"].model(), torch.randn(2, 3, 32, 32)
    with pytest.raises(UserError, match=r"cannot be cut at blocks\.2\.mlp\.fc1: .* would bypass it") as refused:
        blocks_of(model, x, globs=["blocks.0", "blocks.2.mlp.fc1"])
    assert "blocks.0, blocks.1, blocks.2" in refused.value.allowed
    assert "blocks=['layers.*']" in refused.value.hint


def test_a_cut_inside_a_block_is_clean_together_with_the_blocks_own():
    names = ["blocks.2.mlp.fc1", "blocks.2"]
    blocks = blocks_of(BY_NAME["vit"].model(), torch.randn(2, 3, 32, 32), globs=names)
    assert [block.name for block in blocks] == names


class Streams(nn.Module):
    """Two streams side by side; a block hands on both, and a third activation that goes nowhere."""

    class Mix(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x, y):
            x, y = x + self.a(y).tanh(), y + self.b(x).tanh()
            return {"x": x, "unused": x * y, "y": y}

    def __init__(self):
        super().__init__()
        self.stem, self.blocks = nn.Linear(4, 4), nn.ModuleList(self.Mix() for _ in range(3))
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x, y = x, self.stem(x)
        for block in self.blocks:
            made = block(x, y)
            x, y = made["x"], made["y"]
        return self.head(torch.cat([x, y], 1))


@pytest.mark.parametrize("options", [{}, {"globs": ["blocks.*"]}])
def test_streams_side_by_side_are_cut_together(options):
    names = [block.name for block in blocks_of(Streams(), torch.randn(2, 4), **options)]
    assert names == [name for i in range(3) for name in (f"blocks.{i}", f"blocks.{i}[2]")]


class HandsOn(Streams):
    """The same two streams. Each block also hands on the input of the first, which no block reads."""

    class Mix(Streams.Mix):
        def forward(self, kept, x, y):
            made = super().forward(x, y)
            return kept, made["x"], made["y"]

    def forward(self, x):
        kept, x, y = self.stem(x), x, self.stem(x).tanh()
        for block in self.blocks:
            kept, x, y = block(kept, x, y)
        return self.head(torch.cat([x, y], 1))


@pytest.mark.parametrize("options", [{}, {"granularity": "layer"}, {"globs": ["blocks.*"]}])
def test_an_activation_that_is_only_handed_on_does_not_hide_the_others(options):
    names = [block.name for block in blocks_of(HandsOn(), torch.randn(2, 4), **options)]
    assert [name for name in names if name.count(".") == 1] == [f"blocks.{i}[{k}]" for i in range(3) for k in (1, 2)]


def test_cells_that_read_the_two_before_them_are_cut_together():
    class Cells(nn.Module):
        def __init__(self):
            super().__init__()
            cells = (nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(4))
            self.cells, self.head = nn.ModuleList(cells), nn.Linear(4, 3)

        def forward(self, x):
            before = x
            for cell in self.cells:
                x, before = cell(x + before), x
            return self.head(x + before)

    names = [block.name for block in blocks_of(nn.Sequential(Cells()), torch.randn(2, 4))]
    assert names == [f"0.cells.{i}" for i in range(4)]


@pytest.mark.parametrize("rule", ["fa", "dfa", "grape"])
def test_rules_train_streams_side_by_side(rule):
    model, x = Streams(), torch.randn(2, 4)
    expected = model(x)
    net = gb.attach(model, rule, x)
    found = model(x)
    assert torch.equal(found, expected)
    loss_of(found).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    assert net.bp_fraction == (rule == "fa")
    net.detach()
    assert not any("grape_bench" in name for name in model.state_dict())


def test_layer_granularity_cuts_inside_blocks_but_not_inside_attention():
    names = [b.name for b in blocks_of(BY_NAME["vit"].model(), torch.randn(2, 3, 32, 32), granularity="layer")]
    assert names[:3] == ["blocks.0.attn", "blocks.0.mlp.fc1", "blocks.0.mlp.fc2"] and names[3] == "blocks.0"


def test_tracing_leaves_statistics_random_state_and_frozen_parameters_alone():
    model = BY_NAME["resnet18"].model().train()
    frozen = next(model.parameters()).requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    blocks_of(model, torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not frozen.requires_grad and all(p.grad is None for p in model.parameters())


def test_an_output_without_a_tensor_is_refused():
    class Words(nn.Module):
        def forward(self, x):
            return "a cat"

    with pytest.raises(UserError, match="has no tensor to score"):
        gb.attach(Words(), "dfa", torch.randn(2, 3))


def test_an_activation_with_the_samples_on_its_second_axis_is_a_block():
    class Turned(nn.Module):
        """Tokens first within: (T, N, C)."""

        def __init__(self):
            super().__init__()
            self.inner = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
            self.outer, self.head = nn.ModuleList(nn.Linear(12, 12) for _ in range(2)), nn.Linear(12, 2)

        def forward(self, x):
            x = x.transpose(0, 1)
            for layer in self.inner:
                x = layer(x)
            x = x.transpose(0, 1).flatten(1)
            for layer in self.outer:
                x = layer(x)
            return self.head(x)

    blocks = blocks_of(Turned(), torch.randn(2, 3, 4))
    assert [(block.name, block.shape) for block in blocks] == [
        ("inner.0", (3, 4)),
        ("inner.1", (12,)),
        ("outer.0", (12,)),
        ("outer.1", (12,)),
    ]


def test_parametrized_layers_are_layers():
    parametrized = torch.nn.utils.parametrizations.weight_norm
    model = nn.Sequential(
        parametrized(nn.Linear(4, 4)), nn.Tanh(), parametrized(nn.Linear(4, 4)), nn.Tanh(), nn.Linear(4, 2)
    )
    assert [block.name for block in blocks_of(model, torch.randn(2, 4))] == ["1", "3"]


def test_a_single_hidden_layer_is_one_block():
    assert [block.name for block in blocks_of(tanh_mlp((4, 3, 2)), torch.randn(2, 4))] == ["1"]


def test_tracing_holds_no_activation_of_the_model():
    held = []

    class Watched(nn.ReLU):
        def forward(self, x):
            y = super().forward(x)
            held.append(weakref.ref(y))
            return y

    model = nn.Sequential(nn.Linear(4, 4), Watched(), nn.Linear(4, 4), Watched(), nn.Linear(4, 2))
    traced = trace(model, as_batch(torch.randn(2, 4)))
    assert traced.calls and [activation() for activation in held] == [None, None]
