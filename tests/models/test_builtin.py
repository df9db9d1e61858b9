import pytest
import torch
from torch import nn

from grape_bench.errors import UserError
from grape_bench.models import build


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("model_id", ["mlp", "cnn", "lenet", "resnet", "resnet20", "resnet56", "vgg16"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_every_network_accepts_mnist_and_cifar(model_id: str, shape: tuple[int, ...]) -> None:
    model = build(model_id, shape=shape, classes=7, args={})
    assert model(torch.randn(3, *shape)).shape == (3, 7)
    assert model.training


def test_weights_come_from_the_global_generator() -> None:
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        weights.append(next(build("cnn", shape=(1, 8, 8), classes=2, args={}).parameters()))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_hidden_layers_of_an_mlp_are_siblings_of_one_class() -> None:
    model = build("mlp", shape=(40,), classes=10, args={"hidden": [8, 6], "activation": "tanh"})
    layers = dict(model.named_modules())["hidden"]
    assert isinstance(layers, nn.Sequential)
    assert [type(layer) for layer in layers] == [nn.Sequential, nn.Sequential]
    assert parameters(model) == (40 * 8 + 8) + (8 * 6 + 6) + (6 * 10 + 10)


def test_the_maps_of_the_cnn_shrink_while_there_is_room() -> None:
    sides = []
    model = build("cnn", shape=(1, 8, 8), classes=2, args={"channels": [4, 4, 4, 4]})
    for block in dict(model.named_modules())["blocks"].children():
        block.register_forward_hook(lambda block, x, y: sides.append(y.shape[-1]))
    model(torch.randn(2, 1, 8, 8))
    assert sides == [4, 2, 2, 2]


def test_lenet_has_the_published_size_on_mnist() -> None:
    assert parameters(build("lenet", shape=(1, 28, 28), classes=10, args={})) == 61_706


@pytest.mark.parametrize(("model_id", "layers", "millions"), [("resnet20", 20, 0.27), ("resnet56", 56, 0.85)])
def test_the_residual_networks_have_the_papers_depth_and_size(model_id: str, layers: int, millions: float) -> None:
    model = build(model_id, shape=(3, 32, 32), classes=10, args={})
    weights = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(weights) == layers
    assert round(parameters(model) / 1e6, 2) == millions


def test_vgg16_has_thirteen_convolutions_and_scales_with_its_width() -> None:
    published = build("vgg16", shape=(3, 32, 32), classes=100, args={})
    assert sum(isinstance(module, nn.Conv2d) for module in published.modules()) == 13
    assert sum(isinstance(module, nn.MaxPool2d) for module in published.modules()) == 5
    assert round(sum(p.numel() for p in published.parameters()) / 1e6, 2) == 14.77
    quarter = build("vgg16", shape=(3, 16, 16), classes=100, args={"width": 16})
    assert quarter(torch.randn(2, 3, 16, 16)).shape == (2, 100)


def test_a_resnet_has_any_number_of_blocks_and_any_width() -> None:
    torch.manual_seed(0)
    nine = build("resnet", shape=(3, 16, 16), classes=10, args={})
    torch.manual_seed(0)
    published = build("resnet20", shape=(3, 16, 16), classes=10, args={})
    assert all(torch.equal(a, b) for a, b in zip(nine.parameters(), published.parameters(), strict=True))
    small = build("resnet", shape=(3, 16, 16), classes=10, args={"blocks": 3, "width": 8})
    assert [m.out_channels for m in small.modules() if isinstance(m, nn.Conv2d)] == [8, 8, 8, 16, 16, 32, 32]
    with pytest.raises(UserError, match="a resnet of 4 blocks"):
        build("resnet", shape=(3, 16, 16), classes=10, args={"blocks": 4})


def test_the_shortcut_of_a_wider_block_is_every_second_pixel_and_zeros() -> None:
    from grape_bench.models.cifar_resnet import BasicBlock

    block = BasicBlock(2, 4).eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.rand(1, 2, 6, 6)
    y = block(x)
    assert torch.equal(y[:, :2], x[:, :, ::2, ::2])
    assert not y[:, 2:].any()


@pytest.mark.parametrize(
    ("model_id", "shape", "args", "said"),
    [
        ("mlp", (4,), {"hiden": [3]}, "did you mean 'hidden'"),
        ("mlp", (4,), {"hidden": [3.5]}, "positive integers"),
        ("mlp", (4,), {"hidden": 3}, "positive integers"),
        ("mlp", (4,), {"hidden": []}, "positive integers"),
        ("mlp", (4,), {"hidden": [True]}, "positive integers"),
        ("cnn", (1, 8, 8), {"channels": [0]}, r"channels = \[0\]"),
        ("mlp", (4,), {"activation": "rellu"}, "did you mean 'relu'"),
        ("mlp", (4,), {"classes": 3}, "unknown argument 'classes'"),
        ("cnn", (4,), {}, "needs images"),
        ("lenet", (1, 8, 8), {}, "too small"),
    ],
)
def test_bad_arguments_are_refused(model_id: str, shape: tuple[int, ...], args: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        build(model_id, shape=shape, classes=2, args=args)
