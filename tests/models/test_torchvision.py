import pytest
import torch

from grape_bench.errors import UserError
from grape_bench.models import build


@pytest.mark.parametrize("name", ["squeezenet1_1", "shufflenet_v2_x0_5"])
def test_models_are_torchvisions_own(name: str) -> None:
    model = build(f"torchvision:{name}", shape=(3, 32, 32), classes=6, args={}).eval()
    assert type(model).__module__.startswith("torchvision.")
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 6)


def test_a_vision_transformer_is_given_the_image_size() -> None:
    model = build("torchvision:vit_b_32", shape=(3, 64, 64), classes=6, args={})
    assert model.image_size == 64


@pytest.mark.parametrize(
    ("name", "shape", "args", "said"),
    [
        ("resnet88", (3, 32, 32), {}, "did you mean"),
        ("resnet18", (1, 28, 28), {}, "channels = 3"),
        ("resnet18", (3, 32, 32), {"bogus": 1}, "torchvision:resnet18.*bogus"),
        ("resnet18", (3, 32, 32), {"weights": "DEFAULT"}, "num_classes"),
    ],
)
def test_mistakes_are_refused(name: str, shape: tuple[int, ...], args: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        build(f"torchvision:{name}", shape=shape, classes=10, args=args)
