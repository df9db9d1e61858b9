import weakref

import pytest
import torch
from torch import nn

import grape_bench as gb
from grape_bench import UserError
from grape_bench.network.attach import as_batch
from grape_bench.network.find import find_blocks
from grape_bench.network.trace import trace
from tests.network.problems import BY_NAME, PROBLEMS, Problem, tanh_mlp


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
    assert [block.name for block in blocks_of(model, torch.randn(2, 3, 32, 32), globs=["blocks.[02]"])] == [
        "blocks.0",
        "blocks.2",
    ]
    with pytest.raises(UserError, match=r"matches 'block\.\*'"):
        blocks_of(model, torch.randn(2, 3, 32, 32), globs=["block.*"])


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
