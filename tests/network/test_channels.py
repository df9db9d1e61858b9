"""The axis of a block's output that holds channels, also where the sizes of the axes do not tell."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from grape_bench.network.channels import guessed
from grape_bench.network.find import find_blocks
from grape_bench.network.trace import as_batch, trace
from tests.network.problems import BY_NAME


class Layer(nn.Module):
    """A layer, and a function of its output."""

    def __init__(self, layer, after=lambda x: x):
        super().__init__()
        self.layer, self.after = layer, after

    def forward(self, x):
        x = self.layer(x)
        return self.after(x[0] if isinstance(x, tuple) else x)


class Net(nn.Module):
    """Layers, and a linear head on all numbers of a sample."""

    def __init__(self, *layers, features, samples=0):
        super().__init__()
        self.layers, self.head, self.samples = nn.ModuleList(layers), nn.Linear(features, 3), samples

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.head(x.movedim(self.samples, 0).flatten(1))


def axes_of(model, example):
    """The shape and the channel axis of each block."""
    blocks = find_blocks(model, trace(model, as_batch(example)), ["layers.*"])
    return [(block.shape, block.channel_axis) for block in blocks]


def conv1d(inputs, outputs, after=torch.relu):
    return Layer(nn.Conv1d(inputs, outputs, 3, padding=1), after)


@pytest.mark.parametrize("length", [16, 40])
def test_a_convolution_over_time_has_its_channels_first(length):
    model = Net(conv1d(1, 16), conv1d(16, 16), features=16 * length)
    assert axes_of(model, torch.randn(4, 1, length)) == [((16, length), 0)] * 2


def test_pictures_need_not_be_square():
    layers = [Layer(nn.Sequential(nn.Conv2d(c, 256, 1), nn.BatchNorm2d(256), nn.ReLU(inplace=True))) for c in (3, 256)]
    assert axes_of(Net(*layers, features=256 * 32), torch.randn(4, 3, 2, 16)) == [((256, 2, 16), 0)] * 2


@pytest.mark.parametrize("size", [4, 8])  # 8: the sizes of all three axes are equal
@pytest.mark.parametrize("last", [True, False])
def test_what_counts_is_how_a_block_returns_its_channels(size, last):
    within = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    class ConvNeXt(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.within = nn.Conv2d(8, 8, 3, padding=1), within

        def forward(self, x):
            x = x.permute(0, 3, 1, 2) if last else x
            x = x + self.within(self.conv(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            return x.permute(0, 2, 3, 1) if last else x

    example = torch.randn(4, size, size, 8) if last else torch.randn(4, 8, size, size)
    stem = nn.Linear(8, 8) if last else nn.Conv2d(8, 8, 1)
    found = axes_of(Net(stem, ConvNeXt(), features=8 * size**2), example)
    assert [axis for _, axis in found] == [2, 2] if last else [0, 0]


def test_tokens_made_by_a_convolution_have_their_channels_last():
    model = Net(conv1d(1, 16, lambda x: x.transpose(1, 2)), Layer(nn.Linear(16, 16)), features=256)
    assert axes_of(model, torch.randn(4, 1, 16)) == [((16, 16), 1)] * 2


@pytest.mark.parametrize("first", [True, False])
def test_a_transformer_has_its_channels_last(first):
    layers = [nn.TransformerEncoderLayer(8, 2, 16, batch_first=first) for _ in range(2)]
    model = Net(*layers, features=64, samples=int(not first))
    assert axes_of(model, torch.randn(4, 8, 8) if first else torch.randn(8, 4, 8)) == [((8, 8), 1)] * 2


def test_a_recurrent_layer_has_its_channels_last():
    model = Net(*(Layer(nn.LSTM(8, 8, batch_first=True)) for _ in range(2)), features=64)
    assert axes_of(model, torch.randn(4, 8, 8)) == [((8, 8), 1)] * 2


def test_ids_and_products_with_a_matrix_have_their_channels_last():
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(8, 8))

        def forward(self, x):
            return x @ self.weight

    assert axes_of(Net(Layer(Product()), Layer(Product()), features=64), torch.randn(4, 8, 8)) == [((8, 8), 1)] * 2
    model = Net(Layer(nn.Embedding(9, 8), torch.tanh), Layer(Product()), features=64)
    assert axes_of(model, torch.zeros(4, 8, dtype=torch.long))[-1] == ((8, 8), 1)


class Spike(torch.autograd.Function):
    """A step with the gradient of the identity."""

    @staticmethod
    def forward(ctx, x):
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


@pytest.mark.parametrize(
    "after",
    [
        Spike.apply,
        lambda x: Spike.apply(x).mul_(2),
        lambda x: torch.cat(x.chunk(2, 1), 1),
        lambda x: x.flatten(2).unsqueeze(3)[..., 0],
        lambda x: x.reshape(4, 4, 4, 16)[:, :1].expand(4, 4, 4, 16).reshape(4, 16, 16),
        lambda x: x.transpose(1, 2).contiguous().reshape(4, 4, 4, 16).flatten(1, 2).mT,
        lambda x: F.max_pool1d(x, 3, 1, 1) * x.mean(2, keepdim=True),
        lambda x: x * F.linear(x.mean(2), torch.eye(16))[:, :, None],
        lambda x: F.layer_norm(x, (16,)),  # over time
        lambda x: torch.stack([x, x], 1).mean(1) + torch.stack([x, x]).sum(dim=0) + torch.stack([x, x], dim=3).amax(-1),
    ],
)
def test_other_operators_keep_or_move_the_channels(after):
    model = Net(conv1d(1, 16, after), conv1d(16, 16, after), features=256)
    assert axes_of(model, torch.randn(4, 1, 16)) == [((16, 16), 0)] * 2


@pytest.mark.parametrize(
    ("norm", "shape", "axis"), [(F.layer_norm, (16,), 1), (lambda x, _: F.group_norm(x, 4), (16,), 0)]
)
def test_a_norm_tells_the_channels_where_nothing_else_does(norm, shape, axis):
    def mixed(x):
        return norm(x.flatten(1).reshape(4, 8, 2, 16).reshape(4, 16, 16), shape)

    assert axes_of(Net(conv1d(1, 16, mixed), conv1d(16, 16), features=256), torch.randn(4, 1, 16))[0][1] == axis


def test_an_unknown_axis_is_guessed_from_the_shape_and_the_positions_of_the_output():
    def mixed(x):
        return x.flatten(1).reshape(4, 16, 40)

    assert axes_of(Net(conv1d(1, 16, mixed), conv1d(16, 16), features=640), torch.randn(4, 1, 40))[0][1] == 1
    shapes = [(8, 4, 4), (4, 4, 8), (8, 2, 16), (6, 32)]
    assert [guessed(shape, ()) for shape in shapes] == [0, 2, 0, 1]
    assert guessed((6, 32), (32,)) == 0 and guessed((6, 32), (6,)) == 1 and guessed((2, 2, 2), (2, 2)) == 2


@pytest.mark.parametrize("name", ["resnet18", "vit", "convnext", "mixer", "bert"])
def test_models_of_libraries(name):
    problem = BY_NAME[name]
    model = problem.model()
    blocks = find_blocks(model, trace(model, as_batch(problem.batch())))
    assert {block.channel_axis for block in blocks} == {0 if name in ("resnet18", "convnext") else 1}
